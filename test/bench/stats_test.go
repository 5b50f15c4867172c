package main

import (
	"math"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"the middle of an odd number", []float64{9, 1, 5}, 5},
		{"the mean of the two middle ones of an even number", []float64{4, 1, 3, 2}, 2.5},
		{"the only one", []float64{7}, 7},
		{"none at all", nil, math.NaN()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(tc.values)
			got := median(tc.values)
			if got != tc.want && !(math.IsNaN(got) && math.IsNaN(tc.want)) {
				t.Errorf("median %v, want %v", got, tc.want)
			}
			if !slices.Equal(tc.values, before) {
				t.Errorf("values became %v, want them left as they were", tc.values)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, tc := range []struct {
		name   string
		sorted []int
		p      float64
		want   int
	}{
		{"half of a hundred", hundred, 50, 50},
		{"all but one of a hundred", hundred, 99, 99},
		{"the greatest", hundred, 100, 100},
		{"the least", hundred, 0, 1},
		{"nearly all of three is the last", []int{1, 2, 3}, 99, 3},
		{"half of three is the middle", []int{1, 2, 3}, 50, 2},
		{"the only one", []int{5}, 50, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := percentile(tc.sorted, tc.p); got != tc.want {
				t.Errorf("percentile %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRatiosLeaveOutRoundsThatOneLacks(t *testing.T) {
	t.Parallel()
	got := ratios([]float64{6, math.NaN(), 8, 1}, []float64{3, 1, math.NaN(), 0})
	if want := []float64{2}; !slices.Equal(got, want) {
		t.Errorf("ratios %v, want %v", got, want)
	}
}

func TestSharesOfAQueueGroup(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		shares []int64
		fair   bool
	}{
		{"equal shares are fair", []int64{1000, 1000, 1000, 1000}, true},
		{"chance is fair", []int64{970, 1040, 1010, 980}, true},
		{"few messages may be spread badly", []int64{1, 5, 3, 0}, true},
		{"a member left out is unfair", []int64{1333, 1333, 0, 1334}, false},
		{"a member with twice its share is unfair", []int64{20000, 6000, 7000, 7000}, false},
		{"nothing received is unfair", []int64{0, 0}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if err := checkShares(tc.shares); (err == nil) != tc.fair {
				t.Errorf("checkShares says %v, want fair: %v", err, tc.fair)
			}
		})
	}
}

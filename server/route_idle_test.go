package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
)

// TestAServerThatSendsNothingSendsPings has a peer of this kind that sends messages all the time, and
// whose own PINGs may be behind them: it is to receive something within the ticks that it waits.
func TestAServerThatSendsNothingSendsPings(t *testing.T) {
	t.Parallel()
	inStandby(t, nil, func(st *standbyTest) {
		nc, err := st.host.Dial(fmt.Sprintf("10.0.0.1:%d", simRoutePort), time.Second)
		okay(t, err)
		defer nc.Close()
		heard := make(chan time.Time, 100)
		go func() { // ends with the connection
			defer close(heard)
			for in := bufio.NewReader(nc); ; {
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
				heard <- time.Now()
			}
		}()
		info := (&peerInfo{Info: Info{ID: "a", Version: VERSION, Host: "10.0.0.2", Port: 6222, Proto: 1}}).line(true)
		_, err = io.WriteString(nc, info)
		okay(t, err)
		last := time.Now()
		for range 60 {
			_, err := io.WriteString(nc, "MSG x RSID:1:1 1\r\nx\r\n")
			okay(t, err)
			time.Sleep(500 * time.Millisecond)
			for len(heard) > 0 {
				last = <-heard
			}
			if silent := time.Since(last); silent > maxIdleTicks*idleTick {
				t.Fatalf("it hears nothing for %v, and ends the connection after %v", silent, (maxIdleTicks+1)*idleTick)
			}
		}
	})
}

// TestARouteIsNotIdleWhileABlockArrives has a peer of which not one compressed block arrives in the time of
// many ticks.
func TestARouteIsNotIdleWhileABlockArrives(t *testing.T) {
	t.Parallel()
	inStandby(t, func(o *Options) { o.Cluster.Compression.Mode = compressFast }, func(st *standbyTest) {
		peer := &peerInfo{Info: Info{ID: "a", Version: VERSION, Host: "10.0.0.2", Port: 6222, Proto: 1}, Compression: compressFast}
		nc, err := st.host.Dial(fmt.Sprintf("10.0.0.1:%d", simRoutePort), time.Second)
		okay(t, err)
		defer nc.Close()
		go io.Copy(io.Discard, nc) // ends with the connection
		_, err = io.WriteString(nc, peer.line(true)+compressedLine)
		okay(t, err)
		var block bytes.Buffer
		w := s2.NewWriter(&block)
		_, err = w.Write([]byte("PING\r\nPING\r\nPING\r\n"))
		okay(t, err)
		okay(t, w.Close())
		for _, b := range block.Bytes() {
			_, err := nc.Write([]byte{b})
			okay(t, err)
			if time.Sleep(idleTick); st.s.NumRoutes() != 1 {
				t.Fatal("the route is closed")
			}
			if idle := st.s.cluster.all()[0].idle(); idle > 2*idleTick {
				t.Fatalf("it is idle for %v", idle)
			}
		}
	})
}

// TestInterestThatEndsWhileItIsRepeatedIsForgotten has a new carrier repeat interest that ends at once,
// without end.
func TestInterestThatEndsWhileItIsRepeatedIsForgotten(t *testing.T) {
	t.Parallel()
	inStandby(t, func(o *Options) { o.Cluster.PoolSize = 2 }, func(st *standbyTest) {
		nc, _ := st.dial((&peerInfo{Info: Info{ID: "a", Version: VERSION, Host: "10.0.0.2", Port: 6222, Proto: 1}, PoolSize: 2, PoolID: "p"}).line(true))
		defer nc.Close()
		st.settle()
		var text strings.Builder
		text.WriteString("SUB old RSID:2:1\r\nSUB kept RSID:2:2\r\nLINK sync\r\nSUB kept RSID:2:2\r\n")
		kept := 1
		for i := range 12_000 {
			fmt.Fprintf(&text, "SUB foo RSID:1:%d\r\n", i)
			if i > 1000 && i%(i/1000) == 0 { // often first
				kept++
			} else {
				fmt.Fprintf(&text, "UNSUB RSID:1:%d\r\n", i)
			}
		}
		_, err := io.WriteString(nc, text.String())
		okay(t, err)
		st.settle()
		r := st.s.cluster.all()[0]
		if n, most := len(r.announced), 2*kept+1<<10+1; n < kept || n > most {
			t.Errorf("%d subscriptions are remembered, want %d at least and %d at most", n, kept, most)
		}
		_, err = io.WriteString(nc, "LINK synced\r\n")
		okay(t, err)
		st.settle()
		if n := st.s.NumSubscriptions(); int(n) != kept {
			t.Errorf("%d subscriptions are left, want the %d that were repeated and not ended", n, kept)
		}
	})
}

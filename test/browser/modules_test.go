package browser

import (
	"fmt"
	"testing"
)

// The functions of the page that make text are tried one by one, in the browser that runs them.
func TestModulesMakeTextAsPeopleReadIt(t *testing.T) {
	t.Parallel()
	p := open(t, startBroker(t, "").page(), desktop)
	for _, c := range []struct{ module, call, want string }{
		{"format", `count(1234567)`, "1,234,567"},
		{"format", `plural(1, "route")`, "1 route"},
		{"format", `plural(2, "route")`, "2 routes"},
		{"format", `short(0)`, "0"},
		{"format", `short(999)`, "999"},
		{"format", `short(999.6)`, "1.00 k"},
		{"format", `short(12345)`, "12.3 k"},
		{"format", `short(123456789)`, "123 M"},
		{"format", `rate(0)`, "0"},
		{"format", `rate(0.2345)`, "0.2"},
		{"format", `rate(1.55)`, "1.6"},
		{"format", `rate(9.96)`, "10"},
		{"format", `rate(12345)`, "12.3 k"},
		{"format", `bytes(0)`, "0 B"},
		{"format", `bytes(1023)`, "1023 B"},
		{"format", `bytes(1536)`, "1.50 KiB"},
		{"format", `bytes(2**40)`, "1.00 TiB"},
		{"format", `percent(0.25)`, "0.3 %"},
		{"format", `span("4d3h2m5s")`, "4 d 3 h"},
		{"format", `span("1y0d0h0m5s")`, "1 y"},
		{"format", `span("59s")`, "59 s"},
		{"format", `duration("1.234567s")`, "1.23 s"},
		{"format", `duration("250µs")`, "250 µs"},
		{"format", `duration("2m3.4s")`, "2 min 3 s"},
		{"format", `duration(undefined)`, ""},
		{"format", `ago(new Date(0), 90000)`, "1 min ago"},
		{"format", `visible("a\u202eb\nc")`, `a\u{202e}b\u{a}c`},
		{"format", `visible("naïve 日本 <b>")`, "naïve 日本 <b>"},
		{"chart", `roundCount(0)`, "4"},
		{"chart", `roundCount(1500)`, "1600"},
		{"chart", `roundCount(5999)`, "6000"},
		{"chart", `roundBytes(0)`, "1024"},
		{"chart", `roundBytes(1100)`, "2048"},
		{"table", `where(50, 11, 61)`, "51–61 of 61"},
		{"table", `where(0, 0, 0)`, "none"},
	} {
		got := value[string](p, fmt.Sprintf(`import("/ui/%s.js").then((m) => { with (m) return String(%s) })`, c.module, c.call))
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.call, got, c.want)
		}
	}
}

func TestRatesComeFromTheServersClock(t *testing.T) {
	t.Parallel()
	p := open(t, startBroker(t, "").page(), desktop)
	got := value[string](p, `import("/ui/history.js").then(({ History }) => {
		const h = new History();
		const at = (s, n, id = "a") => h.add({ server_id: id, start: id, now: new Date(s * 1000).toISOString(), in_msgs: n, out_msgs: 0, in_bytes: 0, out_bytes: 0, cpu: 1, mem: 2 });
		const polled = [at(0, 0), at(1, 100), at(3, 500), at(4, 500), at(20, 900), at(21, 1000), at(22, 5, "b"), at(23, 15, "b")];
		return JSON.stringify([polled, h.runs().map((r) => r.map((p) => p.in_msgs))]);
	})`)
	// A pause and a restart begin new lines; nothing is drawn across them.
	want := `[[false,false,false,false,false,false,true,false],[[100,200,0],[100],[10]]]`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

package browser

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// connections is how many clients TestManyConnections connects. 10000 and more need Linux, and as
// many open files.
var connections = flag.Int("connections", 1000, "clients of the test with many")

// quick bounds how long the page may take to show what was asked for, on a busy machine. Without
// load it takes half a second, most of which is the wait for the next letter.
const quick = 10 * time.Second

func TestManyConnections(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for i := range *connections {
		idle(t, b, i)
	}
	p := open(t, b.page(), desktop)
	p.loaded("connections")
	const where = `document.querySelector("#conn-pager .where").textContent`
	last := fmt.Sprintf("device-%05d", *connections-1)
	total := fmt.Sprintf(`of " + (%d).toLocaleString("en")`, *connections)
	p.await("the first page", where+` === "1–25 `+total)
	for _, c := range []struct{ what, act, want string }{
		{"sorting by uptime", `[...document.querySelectorAll("#conn-table .sorter")].find((b) => b.textContent === "Uptime").click()`,
			`document.querySelector("th[aria-sort]").innerText.startsWith("Uptime") && !document.querySelector("#conn-table tbody").innerText.includes("device-00000")`},
		{"searching the last", `const s = document.querySelector("#conn-search"); s.value = "` + last + `"; s.dispatchEvent(new Event("input"))`,
			`document.querySelectorAll("#conn-table tbody tr").length === 1 && document.querySelector("#conn-table tbody").innerText.includes("` + last + `")`},
		{"going back", `const s = document.querySelector("#conn-search"); s.value = ""; s.dispatchEvent(new Event("input"))`,
			where + ` === "1–25 ` + total},
	} {
		start := time.Now()
		p.do(c.act)
		p.await(c.what, c.want)
		took := time.Since(start)
		t.Logf("%s among %d: %v", c.what, *connections, took.Round(time.Millisecond))
		if took > quick {
			t.Errorf("%s took %v, want less than %v", c.what, took, quick)
		}
	}
}

// perAddress is how many clients come from one loopback address: an address has no more than some
// 28000 free ports.
const perAddress = 5000

// idle connects client i, which does nothing and costs the test little.
func idle(t *testing.T, b *broker, i int) {
	t.Helper()
	from := net.Dialer{}
	if i >= perAddress {
		from.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/perAddress))}
	}
	nc, err := from.Dial("tcp", b.clients)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	r := bufio.NewReaderSize(nc, 512)
	if _, err := io.WriteString(nc, fmt.Sprintf(`CONNECT {"verbose":false,"name":"device-%05d"}`+"\r\nPING\r\n", i)); err != nil {
		t.Fatal(err)
	}
	for line := ""; line != "PONG\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

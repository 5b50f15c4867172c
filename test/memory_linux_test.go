package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// memoryOf returns a figure of /proc/PID/status in bytes: VmRSS is what a process takes now, VmHWM
// the most that it took.
func memoryOf(t *testing.T, p *process, figure string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(t, err)
	m := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", figure, text)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	must(t, err)
	return kb << 10
}

// flood publishes messages of so many bytes, head and all, to subjects flood.0 to flood.n-1 in turn,
// each bytes in all. A subscriber of all that reads goes along, so that the publisher is not held
// back.
func flood(t *testing.T, addr string, n, size, bytes int) {
	t.Helper()
	reader, p := wire.Dial(t, addr), wire.Dial(t, addr)
	reader.Do(`CONNECT {"verbose":false,"pedantic":false}`, "SUB flood.* 1")
	go io.Copy(io.Discard, reader.In) // ends with the connection
	p.Do(`CONNECT {"verbose":false,"pedantic":false}`)
	payload := strings.Repeat("x", size-len("MSG flood.0 1 10000\r\n\r\n"))
	var round strings.Builder
	for round.Len() < 256<<10 {
		for i := range n {
			fmt.Fprintf(&round, "PUB flood.%d %d\r\n%s\r\n", i, len(payload), payload)
		}
	}
	for sent := 0; sent < n*bytes; sent += round.Len() {
		p.Say(round.String())
		p.Sync()
	}
	reader.Close()
}

// TestBacklogsHoldLittleMoreThanTheirBytes has five clients read nothing, and compares what is
// queued for them with what the broker takes.
func TestBacklogsHoldLittleMoreThanTheirBytes(t *testing.T) {
	for _, size := range []int{100, 8 << 10, 48 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			p := spawn(t, "-m", "-1", "-c", writeConfig(t, "write_deadline: 10m"))
			pages := p.await(t, `Starting http monitor on (.*)$`)[1]
			addr := p.addr(t)
			const readers, each = 5, 24 << 20
			for i := range readers {
				wire.Dial(t, addr).Do(`CONNECT {"verbose":false,"pedantic":false}`, fmt.Sprintf("SUB flood.%d 1", i))
			}
			flood(t, addr, readers, size, 1<<20)
			before := memoryOf(t, p, "VmRSS")
			pendingBefore := pendingBytes(t, pages)
			flood(t, addr, readers, size, each)
			pending, held := pendingBytes(t, pages)-pendingBefore, memoryOf(t, p, "VmRSS")-before
			t.Logf("%d MB pending, %d MB more taken", pending>>20, held>>20)
			if pending < readers*each/2 {
				t.Fatalf("got %d bytes pending, want %d or so", pending, readers*each)
			}
			// What the garbage collector has not collected comes on top.
			if most := pending*3/2 + 24<<20; held > most {
				t.Errorf("%d bytes pending take %d, want %d at most", pending, held, most)
			}
		})
	}
}

// pendingBytes returns what is queued for all connections, by /varz.
func pendingBytes(t *testing.T, pages string) int64 {
	t.Helper()
	resp, err := http.Get("http://" + pages + "/varz")
	must(t, err)
	defer resp.Body.Close()
	var varz struct {
		PendingBytes int64 `json:"pending_bytes"`
	}
	must(t, json.NewDecoder(resp.Body).Decode(&varz))
	return varz.PendingBytes
}

// TestGoMemoryLimitIsRespected has readers that read nothing make queues of three times GOMEMLIMIT:
// those with the longest are disconnected, others get everything.
func TestGoMemoryLimitIsRespected(t *testing.T) {
	const limit, readers, each = 96 << 20, 6, 48 << 20
	for _, c := range []struct{ name, config, want string }{
		{"by default", "write_deadline: 10m", fmt.Sprintf("MaxPendingTotal of %d Exceeded", limit/2)},
		{"with a total beyond it", "write_deadline: 10m, max_pending_total: 1GB", fmt.Sprintf("GOMEMLIMIT of %d Approached", limit)},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := command(t, "-a", "127.0.0.1", "-p", "-1", "-c", writeConfig(t, c.config))
			cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", limit))
			p := launch(t, cmd)
			addr := p.addr(t)
			for i := range readers {
				wire.Dial(t, addr).Do(`CONNECT {"verbose":false,"pedantic":false}`, fmt.Sprintf("SUB flood.%d 1", i))
			}
			flood(t, addr, readers, 8<<10, each)
			p.await(t, "Slow Consumer Detected: "+c.want)
			peak := memoryOf(t, p, "VmHWM")
			t.Logf("at most %d MB taken", peak>>20)
			if most := int64(limit + limit/4); peak > most {
				t.Errorf("the broker took %d bytes, want %d at most", peak, most)
			}
		})
	}
}

// TestMemoryFollowsSubscriptionsAndReturns has one client make many subscriptions and publish to
// many subjects that all of them match, and leave.
func TestMemoryFollowsSubscriptionsAndReturns(t *testing.T) {
	t.Parallel()
	const subs, subjects = 200_000, 200
	deep := strings.Repeat(".a", 2000)
	for _, c := range []struct {
		name      string
		subscribe func(i int) string
		subs      int
		each      int64 // bytes of memory for a subscription, at most
		publish   func(i int) string
	}{
		{"one pattern", func(i int) string { return fmt.Sprintf("SUB a.* %d\r\n", i) }, subs, 600,
			func(i int) string { return fmt.Sprintf("PUB a.%d 0\r\n\r\n", i) }},
		{"many patterns", func(i int) string { return fmt.Sprintf("SUB a.%d.* %d\r\n", i, i) }, subs, 800,
			func(i int) string { return fmt.Sprintf("PUB a.%d.b 0\r\n\r\n", i) }},
		{"many subjects", func(i int) string { return fmt.Sprintf("SUB a.%d %d\r\n", i, i) }, subs, 600,
			func(i int) string { return fmt.Sprintf("PUB a.%d 0\r\n\r\n", i) }},
		{"deep patterns", func(i int) string { return fmt.Sprintf("SUB *.%d%s %d\r\n", i, deep, i) }, 6000, 4000 * 3,
			func(i int) string { return fmt.Sprintf("PUB x.%d%s 0\r\n\r\n", i, deep) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := spawn(t)
			addr := p.addr(t)
			wire.Dial(t, addr).Do()
			empty := memoryOf(t, p, "VmRSS")
			client := wire.Dial(t, addr)
			client.Do(`CONNECT {"verbose":false,"pedantic":false,"echo":false}`)
			say := func(n int, line func(i int) string) {
				var b strings.Builder
				for i := range n {
					b.WriteString(line(i))
					if b.Len() > 1<<16 || i == n-1 {
						client.Do(b.String())
						b.Reset()
					}
				}
			}
			say(c.subs, c.subscribe)
			subscribed := memoryOf(t, p, "VmRSS")
			say(subjects, c.publish)
			matched := memoryOf(t, p, "VmRSS")
			client.Close()
			most := empty + (subscribed-empty)/4 + 20<<20
			left := int64(0)
			eventually(t, "memory is given back", func() bool {
				left = memoryOf(t, p, "VmRSS")
				return left <= most
			})
			t.Logf("%d MB, with subscriptions %d MB, matched %d MB, at the end %d MB", empty>>20, subscribed>>20, matched>>20, left>>20)
			if taken, most := subscribed-empty, int64(c.subs)*c.each+8<<20; taken > most {
				t.Errorf("%d subscriptions take %d bytes, want %d at most", c.subs, taken, most)
			}
			if most := empty + 2*(subscribed-empty) + 8<<20; matched > most {
				t.Errorf("with matches %d bytes are taken, want %d at most", matched, most)
			}
		})
	}
}

// halfMessages has n clients send most of a message of 1 MB, and returns them.
func halfMessages(t *testing.T, addr string, n int) (clients []*wire.Client) {
	t.Helper()
	text := strings.Repeat("x", 1<<20-1000)
	for range n {
		c := wire.Dial(t, addr)
		c.Do(`CONNECT {"verbose":false,"pedantic":false}`)
		c.Say("PUB half 1048576\r\n" + text)
		clients = append(clients, c)
	}
	return clients
}

// TestMemoryOfHalfMessagesReturns has clients leave that have sent most of a message.
func TestMemoryOfHalfMessagesReturns(t *testing.T) {
	t.Parallel()
	p := spawn(t)
	addr := p.addr(t)
	wire.Dial(t, addr).Do()
	empty := memoryOf(t, p, "VmRSS")
	const n = 80
	clients := halfMessages(t, addr, n)
	eventually(t, "messages are half received", func() bool { return memoryOf(t, p, "VmRSS") > empty+n<<19 })
	for _, c := range clients {
		c.Close()
	}
	eventually(t, "memory is given back", func() bool { return memoryOf(t, p, "VmRSS") < empty+20<<20 })
}

// TestGoMemoryLimitCountsHalfMessages has clients that send most of a message hold one and a half times
// GOMEMLIMIT.
func TestGoMemoryLimitCountsHalfMessages(t *testing.T) {
	const limit = 64 << 20
	cmd := command(t, "-a", "127.0.0.1", "-p", "-1")
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", limit))
	p := launch(t, cmd)
	addr := p.addr(t)
	halfMessages(t, addr, 96)
	p.await(t, fmt.Sprintf("Slow Consumer Detected: GOMEMLIMIT of %d Approached .* bytes for an operation that it has not finished", limit))
	eventually(t, "less than GOMEMLIMIT is taken", func() bool { return memoryOf(t, p, "VmRSS") < limit+limit/4 })
}

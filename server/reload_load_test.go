package server

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"gnatsd/conf"
	"gnatsd/test/wire"
)

// loadedTexts are files that a reload goes through under load. All but the clients called victim
// may stay, and may do the same, whatever they say.
func loadedTexts(dir string) []string {
	const steady = "{user: steady, password: s}"
	block := func(name string) string {
		return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q }\n",
			filepath.Join(dir, name+"-cert.pem"), filepath.Join(dir, name+"-key.pem"), filepath.Join(dir, "ca.pem"))
	}
	pid := "pid_file: " + conf.Quote(filepath.Join(dir, "pid")) + "\n"
	return []string{
		"authorization { users: [" + steady + ", {user: victim, password: v}] }\ncluster { listen: 127.0.0.1:-1 }",
		block("server") + "authorization { users: [" + steady + "] }\nmax_payload: 2MB\ncluster { listen: 127.0.0.1:-1, permissions { import: {deny: other} } }",
		block("srva") + pid + "authorization { users: [" + steady + ", {user: victim, password: w}], timeout: 3 }\nping_interval: 5s\ncluster { listen: 127.0.0.1:-1, no_advertise: true }",
		"write_deadline: 9s\nmax_connections: 50\ndebug: true\nauthorization { users: [{user: steady, password: s, permissions: {subscribe: {deny: other}}}, {user: victim, password: v}] }\n" +
			"cluster { listen: 127.0.0.1:-1, permissions { export: {deny: other} } }",
	}
}

// loadStream is one publisher and its subscribers.
type loadStream struct {
	subject string
	pub     *wire.Client
	subs    []*wire.Client
}

// TestReloadUnderLoadLosesNothing has streams of clients that a reload does not concern, on one
// server and over a route, while everything else changes again and again. Every subscriber must
// receive all, in order.
func TestReloadUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	const messages = 30000
	texts := loadedTexts(certDir(t))
	a := startReloader(t, texts[0])
	far := broker(t, func(o *Options) {
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.Routes = []*url.URL{{Scheme: "nats-route", Host: a.ClusterAddr().String()}}
	})
	var streams []loadStream
	for i, places := range [][3]*Server{{a.Server, a.Server, a.Server}, {a.Server, a.Server, far}, {far, a.Server, far}} {
		st := loadStream{subject: "load." + strconv.Itoa(i), pub: loginWire(t, places[0])}
		for _, s := range places[1:] {
			sub := loginWire(t, s)
			okay(t, sub.Send("SUB "+st.subject+" 1\r\n"))
			sub.Drain()
			st.subs = append(st.subs, sub)
		}
		streams = append(streams, st)
	}
	awaitInterest(t, a.Server, 6)
	awaitInterest(t, far, 6)
	var streaming sync.WaitGroup
	for _, st := range streams {
		for _, sub := range st.subs {
			streaming.Go(func() { receiveAll(t, sub, messages) })
		}
		streaming.Go(func() {
			for i := range messages {
				text := strconv.Itoa(i)
				if err := st.pub.Send(fmt.Sprintf("PUB %s %d\r\n%s\r\n", st.subject, len(text), text)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { // ends with the streams
		streaming.Wait()
		close(done)
	}()
	reloads := 0
	for ended := false; !ended || reloads < 2*len(texts); reloads++ {
		a.okay(t, texts[reloads%len(texts)])
		a.lines()
		select {
		case <-done:
			ended = true
		default:
		}
	}
	<-done
	t.Logf("%d reloads during %d messages", reloads, len(streams)*messages)
}

// loginWire is a client called steady.
func loginWire(t *testing.T, s *Server) *wire.Client {
	t.Helper()
	w := openClient(t, s)
	okay(t, w.Send(`CONNECT {"verbose":false,"pedantic":false,"user":"steady","pass":"s"}`+"\r\n"))
	w.Drain()
	return w
}

// awaitInterest waits until a server knows so many subscriptions.
func awaitInterest(t *testing.T, s *Server, n uint32) {
	t.Helper()
	eventually(t, "interest is known", func() bool { return s.NumSubscriptions() >= n })
}

// receiveAll wants messages numbered from 0 to n-1.
func receiveAll(t *testing.T, w *wire.Client, n int) {
	for i := range n {
		d, err := w.Next()
		if err != nil || d == nil || string(d.Payload) != strconv.Itoa(i) {
			t.Errorf("message %d: got %v, %v", i, d, err)
			return
		}
	}
}

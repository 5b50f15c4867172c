package server

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAReaderThatIsSlowAndSteadyIsNotASlowConsumer has subscribers that read a little all the time,
// much less than the socket holds, or one write has, within write_deadline.
func TestAReaderThatIsSlowAndSteadyIsNotASlowConsumer(t *testing.T) {
	t.Parallel()
	const deadline, tick, piece, size = 2500 * time.Millisecond, 50 * time.Millisecond, 16 << 10, 1_000_000
	dir := certDir(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			t.Parallel()
			s := broker(t, func(o *Options) {
				o.WriteDeadline, o.MaxPending = deadline, 512<<20
				if secure {
					o.TLSCert, o.TLSKey = filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem")
				}
			})
			dial := dialClient
			if secure {
				dial = probingTLS
			}
			reader, p := dial(t, s), dial(t, s)
			okay(t, reader.Send("SUB steady 2\r\n"))
			reader.Drain()
			const n = 6
			sent := make(chan error, 1)
			go func() { // ends when all is sent
				_, err := io.WriteString(p, strings.Repeat(fmt.Sprintf("PUB steady %d\r\n%s\r\n", size, strings.Repeat("x", size)), n))
				sent <- err
			}()
			left := n * (len(fmt.Sprintf("MSG steady 2 %d\r\n", size)) + size + 2)
			ticker := time.NewTicker(tick)
			defer ticker.Stop()
			sip := make([]byte, piece)
			for left > 0 {
				<-ticker.C
				k, err := io.ReadAtLeast(reader.In, sip[:min(piece, left)], min(piece, left))
				if left -= k; err != nil {
					t.Fatalf("%d bytes before the end: %v (slow consumers: %d)", left, err, s.NumSlowConsumers())
				}
			}
			okay(t, <-sent)
			if got := s.NumSlowConsumers(); got != 0 {
				t.Errorf("got %d slow consumers, want none", got)
			}
		})
	}
}

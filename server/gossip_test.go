package server

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestMadeUpServersAreForgotten has a peer tell of servers that are not there.
func TestMadeUpServersAreForgotten(t *testing.T) {
	t.Parallel()
	const madeUp = 100
	for _, tt := range []struct{ name, before string }{
		{"by a route", `CONNECT {"name":"FLOOD"}` + "\r\n" + `INFO {"server_id":"FLOOD","host":"127.0.0.1","port":1}` + "\r\n"},
		{"by one that only says its name", `CONNECT {"name":"FLOOD"}` + "\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := broker(t, func(o *Options) { o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort })
			nc, err := net.Dial("tcp", s.ClusterAddr().String())
			okay(t, err)
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(2 * patience))
			var flood strings.Builder
			flood.WriteString(tt.before)
			for i := range madeUp {
				fmt.Fprintf(&flood, `INFO {"server_id":"S%d","version":"1.5.0","ip":"nats-route://127.0.0.1:1/"}`+"\r\n", i)
			}
			flood.WriteString("PING\r\n")
			go io.WriteString(nc, flood.String()) // ends when all is read, or with nc
			w := newWire(nc)
			for line := ""; line != "PONG\r\n"; {
				line, err = w.line()
				okay(t, err)
			}
			if peers, _ := known(s); peers < madeUp {
				t.Errorf("%d servers are known, want %d", peers, madeUp)
			}
			nc.Close()
			eventually(t, "they are forgotten", func() bool {
				peers, targets := known(s)
				return peers == 0 && targets == 0
			})
		})
	}
}

// known counts what the mesh of s remembers.
func known(s *Server) (peers, targets int) {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	return len(s.cluster.mesh.peers), len(s.cluster.mesh.targets)
}

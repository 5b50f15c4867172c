package server

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestAPeerThatOnlySendsIsShownLife has a server of this kind that sends messages all the time, and
// whose own PINGs may be behind them: it is to receive something within the ticks that it waits.
func TestAPeerThatOnlySendsIsShownLife(t *testing.T) {
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
		for i := range 10_000 {
			fmt.Fprintf(&text, "SUB foo RSID:1:%d\r\nUNSUB RSID:1:%[1]d\r\n", i)
		}
		_, err := io.WriteString(nc, text.String())
		okay(t, err)
		st.settle()
		r := st.s.cluster.all()[0]
		if n := len(r.announced); n == 0 || n > 2<<10 {
			t.Errorf("%d subscriptions are remembered, want some, and %d at most", n, 2<<10)
		}
		_, err = io.WriteString(nc, "LINK synced\r\n")
		okay(t, err)
		st.settle()
		if n := st.s.NumSubscriptions(); n != 1 {
			t.Errorf("%d subscriptions are left, want the one that was repeated", n)
		}
	})
}

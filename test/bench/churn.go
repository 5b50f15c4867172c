package main

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// churnBatch is how many subscriptions a client makes and ends before it waits for an answer.
const churnBatch = 64

// besideChurn measures while n clients subscribe to wildcards and unsubscribe all the time, and
// adds how many of these operations there were per second. What the broker uses is not shared out:
// much of it is theirs.
func besideChurn(n int, prepare func() runner) func() runner {
	return func() runner {
		run := prepare()
		return func(r *round) (measures, error) {
			churn, err := startChurn(r, n)
			if err != nil {
				return nil, err
			}
			m, err := run(r)
			rate, churnErr := churn.stop()
			if err := errors.Join(err, churnErr); err != nil {
				return nil, err
			}
			m[loadRate] = rate
			delete(m, serverCPU)
			delete(m, driverCPU)
			return m, nil
		}
	}
}

// churn is clients that subscribe and unsubscribe until they are stopped.
type churn struct {
	clients []*client
	begun   time.Time
	stopped atomic.Bool
	done    atomic.Int64 // operations that were answered
	ended   chan error   // from each client
}

func startChurn(r *round, n int) (*churn, error) {
	c := &churn{begun: time.Now(), ended: make(chan error, n)}
	for i := range n {
		client, err := r.broker.dial(fmt.Sprintf("churning client %d", i+1), r.deadline, nil)
		if err != nil {
			c.close()
			return nil, err
		}
		client.start(&lapChecker{control: control{handle: client.control}}, nil, func(error) {})
		c.clients = append(c.clients, client)
	}
	for i, client := range c.clients {
		go func() { c.ended <- c.run(client, i) }() // stop waits for it
	}
	return c, nil
}

// run makes subscriptions to the last and ends them, batch by batch.
func (c *churn) run(client *client, number int) error {
	var text strings.Builder
	for i := range churnBatch {
		fmt.Fprintf(&text, "SUB bench.churn.%d.*.%d %d\r\nUNSUB %d\r\n", number, i, i+1, i+1)
	}
	for !c.stopped.Load() {
		if _, err := client.conn.Write([]byte(text.String())); err != nil {
			return client.reason(err)
		}
		if err := client.fence(); err != nil {
			return err
		}
		c.done.Add(2 * churnBatch)
	}
	return nil
}

// stop ends the clients, and returns how many operations they did per second.
func (c *churn) stop() (perSecond float64, err error) {
	defer c.close()
	c.stopped.Store(true)
	for range c.clients {
		err = errors.Join(err, <-c.ended)
	}
	return float64(c.done.Load()) / time.Since(c.begun).Seconds(), err
}

func (c *churn) close() {
	for _, client := range c.clients {
		client.close()
	}
}

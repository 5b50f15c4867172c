package browser

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestPictures(t *testing.T) {
	if *shots == "" {
		t.Skip("no -shots")
	}
	seed := startBroker(t, "cluster { listen: 127.0.0.1:-1 }")
	gone := startBroker(t, "cluster { listen: 127.0.0.1:-1 }")
	gone.kill()
	b := startBroker(t, fmt.Sprintf(`server_name: "orders-eu-1"
		max_pending: 4MB
		cluster { listen: 127.0.0.1:-1, routes: ["nats-route://%s", "nats-route://%s"] }`, seed.routes, gone.routes))
	startBroker(t, fmt.Sprintf("cluster { listen: 127.0.0.1:-1, routes: [\"nats-route://%s\"] }", seed.routes))
	for i := range 60 {
		c := b.connect([]string{"billing", "inventory-sync", "gateway", "", "mailer"}[i%5]+[]string{"", fmt.Sprint("-", i)}[i%2], "")
		c.say(fmt.Sprintf("SUB orders.eu.%d 1", i), "SUB orders.> workers 2")
		go drain(c)
	}
	lazy := b.connect("report-writer", "")
	lazy.say("SUB flood.one 1")
	dead := b.connect("<img src=x onerror=alert(1)>", "")
	dead.say("SUB flood.two 1")
	p := b.connect("publisher", "")
	for range 40 {
		p.publish("flood.two", 8, 32<<10)
	}
	for range 12 {
		p.publish("flood.one", 8, 32<<10)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		n := 0
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				n++
				p.publish("orders.eu.new", 40+(n*7)%50+(n/20%3)*60, 300)
			}
		}
	})
	for _, s := range []struct {
		name string
		screen
	}{
		{"desktop-light", screen{width: 1440, height: 900}},
		{"desktop-dark", screen{width: 1440, height: 900, dark: true}},
		{"phone-light", screen{width: 390, height: 844, phone: true}},
		{"phone-dark", screen{width: 390, height: 844, phone: true, dark: true}},
	} {
		tab := open(t, b.page(), s.screen)
		tab.await("a line", "document.querySelector('.line.in').getAttribute('d').length > 280")
		for _, id := range []string{"slow", "connections", "subscriptions", "mesh"} {
			tab.see("#" + id)
			tab.await("it loads", "!document.querySelector('#"+id+" .empty').innerText.includes('Loading')")
		}
		tab.await("mesh rates", "document.querySelector('#mesh-peers').innerText.includes('/s')")
		tab.see("body")
		tab.shoot(s.name, true)
		tab.shoot(s.name+"-top", false)
		tab.do("document.querySelector('#conn-table .link').click()")
		tab.await("details", "document.querySelector('#details-subs li')")
		tab.shoot(s.name+"-details", false)
	}
}

// drain reads what a client is sent, until its connection ends.
func drain(c *client) {
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.nc.Read(buf); err != nil {
			return
		}
	}
}

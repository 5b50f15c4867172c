package browser

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"
)

// TestPictures takes pictures of a busy server's page, for people to look at.
func TestPictures(t *testing.T) {
	if *shots == "" {
		t.Skip("pictures are taken with -shots DIR")
	}
	b := busyBroker(t)
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	defer traffic.Wait()
	defer close(stop)
	traffic.Go(func() { publishInWaves(b, stop) })
	var looks sync.WaitGroup
	defer looks.Wait()
	for _, s := range []struct {
		name string
		screen
	}{
		{"desktop-light", screen{width: 1440, height: 900}},
		{"desktop-dark", screen{width: 1440, height: 900, dark: true}},
		{"tablet-light", screen{width: 820, height: 1180}},
		{"phone-light", screen{width: 390, height: 844, phone: true}},
		{"phone-dark", screen{width: 390, height: 844, phone: true, dark: true}},
	} {
		looks.Go(func() {
			p := open(t, b.page(), s.screen)
			p.whole()
			for _, seconds := range []int{10, 20} {
				p.await("most of a minute", fmt.Sprintf(`document.querySelector(".line.in").getAttribute("d").split("L").length > %d`, seconds))
			}
			for _, section := range []string{"rates", "top", "slow", "connections", "subscriptions", "mesh"} {
				p.loaded(section)
				if section == "mesh" {
					p.await("rates of routes", `document.querySelector("#mesh-peers").innerText.includes("/s")`)
				}
				p.shoot(s.name+"-"+section, false)
			}
			p.see("body")
			p.do(`document.querySelector("#disconnected .link").click()`)
			p.await("details", `document.querySelector("#details-subs li")`)
			p.shoot(s.name+"-details", false)
			p.do(`document.querySelector("#details").close()`)
			p.shoot(s.name, true)
		})
	}
}

// busyBroker runs a broker that is part of a mesh, with many clients, of which one is behind and
// two were disconnected.
func busyBroker(t *testing.T) *broker {
	t.Helper()
	seed := startBroker(t, "cluster { listen: 127.0.0.1:-1 }")
	gone := startBroker(t, "cluster { listen: 127.0.0.1:-1 }")
	gone.kill()
	b := startBroker(t, fmt.Sprintf(`server_name: "orders-eu-1", max_pending: 16MB, write_deadline: "5m"
		cluster { listen: 127.0.0.1:-1, routes: ["nats-route://%s", "nats-route://%s"] }`, seed.routes, gone.routes))
	startBroker(t, fmt.Sprintf("cluster { listen: 127.0.0.1:-1, routes: [\"nats-route://%s\"] }", seed.routes))
	far := seed.connect("far", "")
	far.say("SUB orders.> 1")
	go drain(far)
	names := []string{"billing", "inventory-sync", "gateway", "", "mailer", "fraud-check"}
	for i := range 60 {
		name := names[i%len(names)]
		if name != "" && i >= len(names) {
			name += fmt.Sprintf("-%d", i/len(names)+1)
		}
		c := b.connect(name, "")
		c.say(fmt.Sprintf("SUB orders.eu.%d.> 1", i), "SUB orders.*.new workers 2")
		if i%20 == 0 {
			c.say("SUB orders.> 3")
		}
		go drain(c)
	}
	b.keepUp("reports.daily")
	b.keepUp("exports.all")
	pub := b.connect("publisher", "")
	for _, name := range []string{"report-writer", "<img src=x onerror=alert(1)>"} {
		b.connect(name, "").say("SUB reports.daily 1")
		for range 90 {
			pub.publish("reports.daily", 16, 16<<10)
		}
	}
	b.connect("nightly-export", "").say("SUB exports.all 1")
	for range 40 {
		pub.publish("exports.all", 16, 16<<10)
	}
	return b
}

// publishInWaves publishes more and less, until stop is closed.
func publishInWaves(b *broker, stop chan struct{}) {
	p := b.connect("order-entry", "")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0.0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			p.publish("orders.eu.new", int(120+60*math.Sin(n/45)+30*math.Sin(n/11)+15*math.Sin(n*1.7)), 300)
		}
	}
}

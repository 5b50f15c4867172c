package browser

import (
	"fmt"
	"testing"
)

func TestSubscriptionsHaveNamesOrdersAndFoldedInboxes(t *testing.T) {
	t.Parallel()
	far := startBroker(t, "server_name: far<b>\ncluster { listen: 127.0.0.1:-1 }")
	b := startBroker(t, fmt.Sprintf(`cluster { listen: 127.0.0.1:-1, routes: ["nats-route://%s"] }`, far.routes))
	far.connect("distant", "").say("SUB orders.> 1")
	few := b.connect("few", "")
	few.say("SUB orders.new 1", "SUB _INBOX.a.1 2", "SUB _INBOX.a.2 3")
	go drain(few)
	many := b.connect("many", "")
	many.say("SUB other 1")
	go drain(many)
	pub := b.connect("publisher", "")
	pub.publish("other", 9, 1)
	pub.publish("_INBOX.a.2", 20, 1)
	pub.publish("orders.new", 3, 1)
	p := open(t, b.page(), desktop)
	p.loaded("subscriptions")
	const rows = `[...document.querySelectorAll("#sub-table tbody tr")].map((r) => [0, 2, 4].map((i) => r.cells[i].innerText.trim()).join("|")).join()`
	p.await("by client, with names", rows+` === "orders.new|few|3,_INBOX.> 2 inboxes|few|20,other|many|9"`)
	p.do(`[...document.querySelectorAll("#sub-table .sorter")].find((s) => s.textContent === "Delivered").click()`)
	p.await("by delivered messages", rows+` === "_INBOX.> 2 inboxes|few|20,other|many|9,orders.new|few|3" && document.querySelector("#sub-table th[aria-sort]").ariaSort === "descending"`)
	p.await("another server counts, too", `(() => {
		const s = document.querySelector("#sub-test");
		if (s.value !== "orders.new") { s.value = "orders.new"; s.dispatchEvent(new Event("input")); }
		return document.querySelector("#sub-remotes").textContent === "It is also sent to 1 other server: far<b>." && !document.querySelector("#sub-remotes").hidden;
	})()`)
	p.do(`document.querySelector("#sub-table tbody .link").click()`)
	p.await("the name leads to the client", `document.querySelector("#details-title").textContent === "few"`)
}

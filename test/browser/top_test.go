package browser

import (
	"strings"
	"testing"
)

func TestTopShowsWhoFloodsAndWhat(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for range 3 {
		b.keepUp("flood.*")
	}
	flooder := b.connect("flooder", "")
	modest := b.connect("modest", "")
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				flooder.publish("flood.eu", 50, 100)
				modest.publish("nowhere", 2, 10)
			}
		}
	}()
	defer func() { close(stop); <-ended }()
	p := open(t, b.page()+"#top", desktop)
	p.loaded("top")
	p.await("the flooder is among the top talkers", `[...document.querySelectorAll("#talkers li")].some((li) => li.innerText.includes("flooder") && /Received [1-9]/.test(li.innerText))`)
	p.await("its subject comes first", `document.querySelector("#top-subjects li")?.innerText.includes("flood.eu") && document.querySelector("#top-subjects li").innerText.includes("fan-out 3")`)
	if got := p.text("#top-subjects li"); !strings.Contains(got, "flooder") {
		t.Errorf("got %q, want the client that publishes", got)
	}
	p.do(`const s = document.querySelector("#top-sort"); s.value = "no_receivers"; s.dispatchEvent(new Event("change"))`)
	p.await("what has no receiver", `document.querySelector("#top-subjects li")?.innerText.includes("nowhere") && document.querySelector("#top-subjects li").innerText.includes("without a receiver")`)
	p.see("#connections")
	p.await("the table has rates", `[...document.querySelectorAll("#conn-table tbody tr")].some((tr) => tr.innerText.includes("flooder") && /[1-9]/.test([...tr.children].find((td) => td.dataset.title === "Received/s").innerText))`)
	p.do(`const s = document.querySelector("#conn-sort"); s.value = "msgs_from_rate"; s.dispatchEvent(new Event("change"))`)
	p.await("sorted by rate", `document.querySelector("#conn-table tbody tr").innerText.includes("flooder")`)
}

package monitor

import (
	"strings"
	"testing"
)

func TestRootLinksInTheClassicOrder(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	body := ask(t, m, "/").body
	at := 0
	for _, link := range []string{`<a href="/varz">varz</a><br/>`, `<a href="/connz">connz</a><br/>`, `<a href="/routez">routez</a><br/>`, `<a href="/subsz">subsz</a><br/>`, `>help</a>`} {
		i := strings.Index(body[at:], link)
		if i < 0 {
			t.Fatalf("no %s after byte %d of\n%s", link, at, body)
		}
		at += i
	}
}

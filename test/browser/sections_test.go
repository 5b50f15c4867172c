package browser

import (
	"fmt"
	"testing"
)

// late has the page wait for the tables of connections and of subscriptions until open is called,
// and leaves it to the page alone to stay where it is when something above grows, as in a browser
// that does not anchor scrolling.
const late = `document.documentElement.style.overflowAnchor = "none";
	const gate = new Promise((done) => { window.open = done });
	const real = window.fetch;
	window.fetch = async (url, more) => { if (/connz\?state|subsz/.test(url)) await gate; return real(url, more) }`

// atTop is whether a section is where a link to it leads.
const atTop = `(() => { const top = document.querySelector("#%s").getBoundingClientRect().top; return top >= 0 && top < 200 })()`

// muchLater has the page think that a minute has passed.
const muchLater = `const now = performance.now.bind(performance); performance.now = () => now() + 60_000`

// furnishedLate opens the page of a broker, of which the tables load late, and follows a link.
func furnishedLate(t *testing.T, b *broker, s screen) *tab {
	t.Helper()
	p := open(t, b.page(), s)
	p.await("the page is live", `document.querySelector("#state-text").textContent === "Live" && document.querySelector("#status").dataset.status !== "wait"`)
	p.do(late)
	p.do(`document.querySelector('nav a[href="#subscriptions"]').click()`)
	p.await("the section is where the link leads", fmt.Sprintf(atTop, "subscriptions"))
	p.await("it waits for its table", `document.querySelector("#sub-empty").checkVisibility() && document.querySelector("#conn-empty").checkVisibility()`)
	return p
}

const loadedLate = `document.querySelectorAll("#conn-table tbody tr").length > 5 && document.querySelectorAll("#sub-table tbody tr").length > 5`

func TestSectionIsHeldUntilTheTablesHaveLoaded(t *testing.T) {
	t.Parallel()
	b := furnished(t)
	for _, s := range []screen{desktop, {width: 390, height: 844, phone: true}} {
		p := furnishedLate(t, b, s)
		p.do(muchLater)
		p.do(`window.open()`)
		p.await("the tables are there", loadedLate)
		p.await("the section is where the link leads", fmt.Sprintf(atTop, "subscriptions")+` && document.querySelector('nav a[aria-current]').hash === "#subscriptions"`)
		// From then on it is left where it is. Each look changes the height of the page, which has to be
		// the same for a while.
		p.do(`let pause = 1500;
		const grow = () => {
			const notices = document.querySelector("#notices");
			notices.style.paddingTop = "400px";
			const frames = (n) => requestAnimationFrame(() => {
				if (n > 0) return frames(n - 1);
				window.released = document.querySelector("#subscriptions").getBoundingClientRect().top > 300;
				notices.style.paddingTop = "";
				if (!window.released) setTimeout(grow, pause *= 2);
			});
			frames(4);
		}; setTimeout(grow, pause)`)
		p.await("the section is not held any more", `window.released`)
		p.await("it is still marked", `document.querySelector('nav a[aria-current]').hash === "#subscriptions"`)
	}
}

func TestSectionIsHeldUntilTheReaderMovesThePage(t *testing.T) {
	t.Parallel()
	b := furnished(t)
	for how, move := range map[string]string{
		"a key":                  `window.dispatchEvent(new KeyboardEvent("keydown", { key: "PageUp" }))`,
		"a touch":                `document.querySelector("main").dispatchEvent(new Event("touchstart", { bubbles: true }))`,
		"a wheel":                `document.querySelector("main").dispatchEvent(new WheelEvent("wheel", { bubbles: true }))`,
		"a scrollbar":            `scrollBy(0, -150)`,
		"a program that scrolls": `document.querySelector("#slow").scrollIntoView()`,
	} {
		p := furnishedLate(t, b, desktop)
		p.do(move + `; window.left = scrollY`)
		// The page has seen an event once a later frame is drawn.
		p.do(`requestAnimationFrame(() => requestAnimationFrame(() => { window.seen = true }))`)
		p.await("the page has seen it", `window.seen`)
		p.do(`window.open()`)
		p.await("the tables are there", loadedLate)
		if got := value[bool](p, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(scrollY === window.left))))`); !got {
			t.Errorf("after %s the page moves again", how)
		}
	}
}

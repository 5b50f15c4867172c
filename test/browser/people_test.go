package browser

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// furnished runs a broker of which every part of the page has something to show.
func furnished(t *testing.T) *broker {
	t.Helper()
	b := startBroker(t, `server_name: "furnished", max_pending: 8MB, write_deadline: "5m"
		cluster { listen: 127.0.0.1:-1, routes: ["nats-route://127.0.0.1:1"] }`)
	for i := range 30 {
		b.connect(fmt.Sprintf("client-%02d", i), "").say("SUB orders.> workers 1")
	}
	b.connect("sleeper", "").say("SUB flood 1")
	b.keepUp("flood")
	pub := b.connect("publisher", "")
	for range 45 {
		pub.publish("flood", 16, 16<<10)
	}
	return b
}

// whole waits until all parts of the page are there.
func (p *tab) whole() {
	p.t.Helper()
	for _, section := range []string{"top", "slow", "connections", "subscriptions", "mesh"} {
		p.loaded(section)
	}
	p.see("body")
}

func TestNothingAClientSendsIsMoreThanText(t *testing.T) {
	t.Parallel()
	b := startBroker(t, `authorization { users: [{ user: "<i>u</i>", password: x }] }`)
	hostile := []string{
		`<script>window.hacked=1</script>`,
		`<img src=x onerror=window.hacked=2>`,
		`"><svg onload=window.hacked=3>`,
		`javascript:window.hacked=4`,
		`{{7*7}}${7*7}</td></table>`,
		`</title><script src=//evil.example></script>`,
	}
	for _, name := range hostile {
		subject := strings.ReplaceAll(strings.ReplaceAll(name, " ", "\u00a0"), ".", "-")
		c := b.connect(name, fmt.Sprintf(`,"user":"<i>u</i>","pass":"x","lang":%s,"version":%[1]s`, quoted(name)))
		c.say("SUB "+subject+" "+subject+" 1", "SUB a."+subject+".> <b>sid</b>", "PUB "+subject+".x 2\r\nhi", "PUB "+subject+".x 2\r\nhi")
	}
	b.connect("turned\u202egnp.exe\u0000", `,"user":"<i>u</i>","pass":"x"`)
	p := open(t, b.page(), desktop)
	p.whole()
	shown := func(selector string) string {
		return value[string](p, fmt.Sprintf("document.querySelector(%q).textContent", selector))
	}
	for _, name := range hostile {
		if !strings.Contains(shown("#conn-table tbody"), name) || !strings.Contains(shown("#sub-table tbody"), name[:4]) {
			t.Errorf("the table does not show %q literally", name)
		}
	}
	p.see("#top")
	p.await("subjects are shown", `document.querySelectorAll("#top-subjects li").length > 0`)
	if got := shown("#top-subjects"); !strings.Contains(got, "<script>") && !strings.Contains(got, "<img") && !strings.Contains(got, "<svg") && !strings.Contains(got, "javascript:") && !strings.Contains(got, "{{7*7}}") && !strings.Contains(got, "</title>") {
		t.Errorf("subjects are not shown literally: %q", got)
	}
	if got := shown("#conn-table"); !strings.Contains(got, `turned\u{202e}gnp.exe\u{0}`) {
		t.Error("characters that turn text around or do not show are not made visible")
	}
	for i := range len(hostile) {
		p.do(fmt.Sprintf(`document.querySelectorAll("#conn-table .main .link")[%d].click()`, i))
		p.await("details are shown", fmt.Sprintf(`document.querySelector("#details-title").textContent === %q && document.querySelector("#details-subs li") !== null && document.querySelector("#details-facts").innerText.includes("<i>u</i>")`, hostile[i]))
		p.do(`document.querySelector("#details-close").click()`)
	}
	p.do(`const s = document.querySelector("#conn-search"); s.value = "<img src=x onerror=alert(1)>"; s.dispatchEvent(new Event("input"))`)
	p.await("a search for HTML is shown as text", `document.querySelector("#conn-empty").textContent.includes("<img src=x onerror=alert(1)>")`)
	if got := value[string](p, `String(window.hacked) + document.querySelectorAll("main img, main script, dialog img, main i, main b, dialog i").length`); got != "undefined0" {
		t.Errorf("got %s: what a client sent has become part of the page", got)
	}
}

func TestPolicyStopsWhatThePageDoesNotBring(t *testing.T) {
	t.Parallel()
	p := open(t, startBroker(t, "").page(), desktop)
	p.await("the page is live", `document.querySelector("#state-text").textContent === "Live"`)
	p.mayComplain("policy: ", "Content Security Policy", "Trusted")
	for _, attempt := range []string{
		`document.body.innerHTML = "<b>x</b>"`,
		`document.body.insertAdjacentHTML("beforeend", "<b>x</b>")`,
	} {
		if got := value[string](p, `(() => { try { `+attempt+`; return "done" } catch (e) { return e.name } })()`); got != "TypeError" {
			t.Errorf("%s: got %q, want it to be refused", attempt, got)
		}
	}
	p.do(`window.stopped = []; document.addEventListener("securitypolicyviolation", (e) => window.stopped.push(e.effectiveDirective));
		const img = new Image(); img.src = "http://127.0.0.1:1/x.png"; document.body.append(img);
		const style = document.createElement("style"); style.textContent = "body{color:red}"; document.head.append(style);
		fetch("http://127.0.0.1:1/").catch(() => {})`)
	p.await("images, styles and requests of others are stopped", `["img-src", "style-src-elem", "connect-src"].every((d) => window.stopped.includes(d))`)
}

func TestEverythingWorksByKeyboard(t *testing.T) {
	t.Parallel()
	b := furnished(t)
	p := open(t, b.page(), desktop)
	p.whole()
	press := func(keys string) { t.Helper(); p.run(chromedp.KeyEvent(keys)) }
	focus := func() string {
		return value[string](p, `(document.activeElement.id || document.activeElement.getAttribute("href") || document.activeElement.innerText)`)
	}
	press(kb.Tab)
	if got := focus(); got != "#main" {
		t.Fatalf("first comes %q, want the link that skips to the content", got)
	}
	if got := value[float64](p, `document.activeElement.getBoundingClientRect().top`); got < 0 {
		t.Error("the link cannot be seen when it has the focus")
	}
	press(kb.Enter)
	if got := focus(); got != "main" {
		t.Errorf("after it, %q has the focus, want main", got)
	}
	reached := []string{}
	for range 400 {
		press(kb.Tab)
		f := focus()
		reached = append(reached, f)
		if f == "Sent" {
			break
		}
	}
	for _, want := range []string{"conn-search", "conn-state", "conn-sort", "conn-limit", "Id", "Subs", "Sent"} {
		if !slices.Contains(reached, want) {
			t.Errorf("the tab key does not reach %q: %q", want, reached)
		}
	}
	if got := value[string](p, `getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth`); got != "solid2px" {
		t.Errorf("the focus is not seen: outline %s", got)
	}
	press(kb.Enter)
	p.await("Enter sorts", `document.querySelector("th[aria-sort]").innerText.startsWith("Sent")`)
	if got := focus(); got != "Sent" {
		t.Errorf("after sorting, %q has the focus", got)
	}
	for range 10 {
		press(kb.Tab)
		if value[bool](p, `document.activeElement.matches("#conn-table tbody .link")`) {
			break
		}
	}
	name := focus()
	press(kb.Enter)
	p.await("Enter opens details", `document.querySelector("#details").open`)
	if got := focus(); got != "details-title" {
		t.Errorf("in details, %q has the focus, want the title", got)
	}
	press(kb.Escape)
	p.await("Escape closes them", `!document.querySelector("#details").open`)
	if got := focus(); got != name {
		t.Errorf("then %q has the focus, want %q, where it was", got, name)
	}
	p.do(`document.querySelector("#pause").focus()`)
	press(" ")
	p.await("the space bar pauses", `document.querySelector("#state-text").innerText === "Paused"`)
}

func TestAccessibilityTreeIsComplete(t *testing.T) {
	t.Parallel()
	b := furnished(t)
	for _, s := range []screen{desktop, {width: 390, height: 844, phone: true}} {
		p := open(t, b.page(), s)
		p.whole()
		tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			t.Fatal(err)
		}
		roles := map[string]int{}
		for _, n := range tree.Nodes {
			if n.Ignored || n.Role == nil {
				continue
			}
			role, name := axText(n.Role), axText(n.Name)
			roles[role]++
			switch role {
			case "button", "link", "searchbox", "textbox", "combobox", "table", "img", "image", "region", "navigation", "search", "columnheader":
				if strings.TrimSpace(name) == "" {
					t.Errorf("%dpx: a %s has no name", s.width, role)
				}
			}
		}
		for role, most := range map[string]int{"banner": 1, "main": 1, "contentinfo": 1, "navigation": 1, "region": 7, "search": 2, "table": 2, "status": 1, "searchbox": 2} {
			if roles[role] != most {
				t.Errorf("%dpx: got %d of %s, want %d", s.width, roles[role], role, most)
			}
		}
		if s.phone {
			if high := value[float64](p, `Math.max(...[...document.querySelectorAll("#conn-table tbody tr")].map((r) => r.getBoundingClientRect().height))`); high > 90 {
				t.Errorf("on a phone a client takes %.0f pixels, want two lines", high)
			}
		}
		cells := 6 // in a row, at least
		if s.phone {
			cells = 4 // and the others are in the details
		}
		if roles["row"] < 20 || roles["cell"] < 20*cells || (!s.phone && roles["columnheader"] != 13+6) {
			t.Errorf("%dpx: got %v: the tables are not tables", s.width, roles)
		}
		want := []string{"1 furnished", "2 Rates", "3 Messages per second", "3 Bytes per second", "2 Top", "3 Top talkers", "3 Top subjects", "2 Slow consumers", "3 Lagging now", "3 Disconnected",
			"2 Connections", "2 Subscriptions", "2 Cluster", "2 Server"}
		headings := value[[]string](p, `[...document.querySelectorAll("h1, h2, h3")].filter((h) => h.checkVisibility()).map((h) => h.tagName[1] + " " + h.textContent)`)
		if !slices.Equal(headings, want) || roles["heading"] != len(want) {
			t.Errorf("%dpx: headings: got %q, want %q", s.width, headings, want)
		}
		if got := value[string](p, "document.documentElement.lang + document.title"); !strings.HasPrefix(got, "enfurnished") {
			t.Errorf("language and title: got %q", got)
		}
	}
}

// axText returns a text of the accessibility tree.
func axText(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// contrasts finds text that is hard to read: with less contrast to what is behind it than WCAG's AA
// demands.
const contrasts = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (colour) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = colour;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (node) => {
		for (let n = node; n; n = n.parentElement) {
			const c = rgba(getComputedStyle(n).backgroundColor);
			if (c[3] > 200) return c;
		}
		return [255, 255, 255, 255];
	};
	const bad = [];
	for (const node of document.querySelectorAll("body *")) {
		if (![...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()) || !node.checkVisibility()) continue;
		const style = getComputedStyle(node);
		const [a, b] = [light(rgba(style.color)), light(behind(node))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
		if (ratio < (large ? 3 : 4.5)) bad.push(node.className + " " + node.textContent.slice(0, 30) + " " + ratio.toFixed(2));
	}
	return bad;
})()`

func TestLightAndDarkAreReadable(t *testing.T) {
	t.Parallel()
	b := furnished(t)
	grounds := map[string]bool{}
	for _, dark := range []bool{false, true} {
		s := desktop
		s.dark = dark
		p := open(t, b.page(), s)
		p.whole()
		if bad := value[[]string](p, contrasts); len(bad) > 0 {
			t.Errorf("dark %t: hard to read: %q", dark, bad)
		}
		grounds[value[string](p, "getComputedStyle(document.body).backgroundColor")] = true
		p.do(`document.querySelector("#conn-table tbody .link").click()`)
		p.await("details", `document.querySelector("#details-subs li")`)
		if bad := value[[]string](p, contrasts); len(bad) > 0 {
			t.Errorf("dark %t: hard to read in details: %q", dark, bad)
		}
	}
	if len(grounds) != 2 {
		t.Errorf("got the ground %v, light and dark", grounds)
	}
}

func TestPageFitsScreens(t *testing.T) {
	t.Parallel()
	b := furnished(t)
	long := strings.Repeat("W", 2000)
	b.connect(long, "").say("SUB " + long + " " + long + " 1")
	for _, s := range []screen{{width: 320, height: 640, phone: true}, {width: 390, height: 844, phone: true}, {width: 768, height: 1024}, {width: 1024, height: 700}, desktop, {width: 2560, height: 1400}} {
		p := open(t, b.page(), s)
		p.whole()
		p.do(`const s = document.querySelector("#conn-search"); s.value = "WWW"; s.dispatchEvent(new Event("input"));
			const f = document.querySelector("#sub-test"); f.value = "` + long + `"; f.dispatchEvent(new Event("input"))`)
		p.see("#connections")
		p.await("the long name", `document.querySelectorAll("#conn-table tbody tr").length === 1`)
		p.see("#subscriptions")
		p.await("the long subject", `document.querySelectorAll("#sub-table tbody tr").length === 1`)
		over := value[[]string](p, `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > screen.width + 1 && !e.closest("svg")).map((e) => e.tagName + "." + e.className)`)
		if wide := value[int](p, "document.documentElement.scrollWidth"); wide > int(s.width) {
			t.Errorf("%dpx: the page is %d wide: %q", s.width, wide, over)
		}
	}
}

func TestMotionIsReducedWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for _, calm := range []bool{false, true} {
		s := desktop
		s.calm = calm
		p := open(t, b.page(), s)
		p.await("the page is live", `document.querySelector("#state-text").textContent === "Live"`)
		if moving := value[bool](p, "document.getAnimations().length > 0"); moving == calm {
			t.Errorf("reduced motion %t: something moves: %t", calm, moving)
		}
	}
}

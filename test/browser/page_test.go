package browser

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// loaded waits until a part of the page shows what it is about.
func (p *tab) loaded(section string) {
	p.t.Helper()
	p.see("#" + section)
	p.await(section+" is loaded", fmt.Sprintf(`![...document.querySelectorAll("#%s .empty")].some((e) => e.textContent.includes("Loading"))`, section))
}

func TestNumbersMoveUnderTraffic(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "server_name: moving")
	p := open(t, b.page(), desktop)
	p.await("the page is live", `document.querySelector("#state-text").textContent === "Live"`)
	if got := p.text("#server-name"); got != "moving" {
		t.Errorf("title: got %q, want the name of the server", got)
	}
	s := b.connect("subscriber", "")
	s.say("SUB foo 1")
	go drain(s)
	pub := b.connect("publisher", "")
	const rate = `document.querySelector("#chart-msgs .legend .%s strong").textContent`
	busy := fmt.Sprintf(rate+` !== "–" && `+rate+` !== "0"`, "out", "out")
	for range 100 {
		pub.publish("foo", 500, 100)
		if value[bool](p, busy) {
			break
		}
	}
	p.await("the rate out is more than nothing", `document.querySelector("#chart-msgs .line.out").getAttribute("d").split("L").some((dot) => Number(dot.split(" ")[1]) < 99)`)
	p.await("the rate of bytes was drawn, too", `document.querySelector("#chart-bytes .line.in").getAttribute("d").split("L").some((dot) => Number(dot.split(" ")[1]) < 99)`)
	p.await("the sum is shown", `!document.querySelector("#chart-msgs .in .quiet").textContent.startsWith("0 ")`)
	p.await("the rate falls to zero again", fmt.Sprintf(rate+` === "0"`, "in"))
	p.await("figures count the clients", `document.querySelector("#figures .value").textContent === "2"`)
	p.await("cpu and memory are shown", `["CPU", "Memory", "Uptime"].every((n) => /^\d/.test([...document.querySelectorAll("#figures > div")].find((d) => d.innerText.startsWith(n)).querySelector(".value").textContent))`)
	p.await("the lines are described", `/^Lines over the last minute: Received .*; Sent /.test(document.querySelector("#chart-msgs .plot").ariaLabel)`)
}

func TestSlowConsumersAreShownWithTheirCause(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, config, cause, behind string }{
		{"max_pending", `max_pending: 8MB, write_deadline: "5m"`, "Too many bytes pending", "of 8.00 MiB pending"},
		{"write_deadline", `max_pending: 1GB, write_deadline: "1s"`, "No progress within the write deadline", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t, c.config)
			p := open(t, b.page(), desktop)
			p.loaded("slow")
			if got := p.text("#slow"); !strings.Contains(got, "None: every client has what was sent to it.") || !strings.Contains(got, "No slow consumer was disconnected.") {
				t.Errorf("without any: got %q", got)
			}
			b.connect("sleeper", "").say("SUB flood.> 1")
			b.keepUp("flood.eu")
			pub := b.connect("publisher", "")
			waiting := `document.querySelector("#behind").innerText`
			const gone = `document.querySelector("#disconnected li") !== null`
			for b.mostPending() < 1<<20 && !value[bool](p, gone) {
				pub.publish("flood.eu", 16, 16<<10)
			}
			if c.behind != "" {
				p.await("a client is behind", waiting+`.includes("sleeper")`)
				if got := value[string](p, waiting); !strings.Contains(got, c.behind) || !strings.Contains(got, "top subject flood.eu") {
					t.Errorf("behind: got %q, want %q and the subject", got, c.behind)
				}
				p.shoot("slow-behind", false)
			}
			for c.behind != "" && !value[bool](p, gone) {
				pub.publish("flood.eu", 16, 16<<10)
			}
			p.await("a slow consumer was disconnected", gone)
			got := p.text("#disconnected")
			for _, want := range []string{"sleeper", c.cause, "MiB pending", "1 time, last ", "top subject flood.eu"} {
				if !strings.Contains(got, want) {
					t.Errorf("disconnected: got %q, want %q", got, want)
				}
			}
			p.await("the figure is marked", `document.querySelector("#figures .alarm .value").textContent === "1"`)
			p.do(`document.querySelector("#disconnected .link").click()`)
			p.await("details say why it is gone", `document.querySelector("#details").innerText.includes("Slow Consumer (")`)
		})
	}
}

func TestConnectionsAreSortedSearchedAndPaged(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for i := range 60 {
		c := b.connect(fmt.Sprintf("worker-%02d", i), "")
		for s := range i % 7 {
			c.send(fmt.Sprintf("SUB jobs.%d %d", s, s))
		}
		c.say()
	}
	b.connect("needle", `,"lang":"rust"`).say("SUB one 1", "SUB two 2", "SUB three 3", "SUB four 4", "SUB five 5", "SUB six 6", "SUB seven 7", "SUB eight 8")
	p := open(t, b.page(), desktop)
	p.loaded("connections")
	const names = `[...document.querySelectorAll("#conn-table .main .link")].map((n) => n.textContent)`
	const where = `document.querySelector("#conn-pager .where").textContent`
	pager := func(name string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("#conn-pager button")].find((b) => b.textContent === %q)`, name)
	}
	p.await("the first page", where+` === "1–25 of 61" && `+names+`[0] === "worker-00"`)
	p.do(pager("Previous") + `.click()`)
	p.do(pager("Next") + `.click()`)
	p.await("the second page", where+` === "26–50 of 61" && `+names+`[0] === "worker-25"`)
	p.do(pager("Next") + `.click()`)
	p.await("the last page", where+` === "51–61 of 61" && `+names+`.length === 11 && `+pager("Next")+`.ariaDisabled === "true"`)

	p.do(`[...document.querySelectorAll("#conn-table .sorter")].find((b) => b.textContent === "Subs").click()`)
	p.await("most subscriptions come first, on the first page", names+`[0] === "needle" && `+where+` === "1–25 of 61"`)
	p.await("the header says so", `document.querySelector("th[aria-sort]").innerText.startsWith("Subs") && document.querySelector("th[aria-sort]").ariaSort === "descending"`)
	p.await("so does the list of orders", `document.querySelector("#conn-sort").value === "subs"`)
	p.await("a screen reader reads", `document.querySelector("#announce").textContent === "1–25 of 61 connections, sorted by Subs"`)
	p.do(`const s = document.querySelector("#conn-sort"); s.value = "cid"; s.dispatchEvent(new Event("change"))`)
	p.await("sorted by id again", names+`[0] === "worker-00" && document.querySelector("th[aria-sort]").ariaSort === "ascending"`)

	search := func(text string) {
		p.do(fmt.Sprintf(`const s = document.querySelector("#conn-search"); s.value = %q; s.dispatchEvent(new Event("input"))`, text))
	}
	search("RUST")
	p.await("what matches is found", names+`.join() === "needle" && `+where+` === "1–1 of 1"`)
	search("worker-3")
	p.await("all that match are found", where+` === "1–10 of 10"`)
	search("<unknown>")
	p.await("nothing is found", `document.querySelector("#conn-empty").innerText === "Nothing matches “<unknown>”." && document.querySelector("#conn-table").hidden`)
	search("")
	p.await("all are back", where+` === "1–25 of 61"`)

	p.do(`document.querySelector("#conn-table tbody .link").click()`)
	p.await("details of the first", `document.querySelector("#details").open && document.querySelector("#details").innerText.includes("127.0.0.1:")`)
	p.do(`document.querySelector("#details-close").click()`)
}

func TestClientsThatAreGoneAreListed(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	b.connect("leaver", "").nc.Close()
	b.connect("offender", "").send("NONSENSE")
	p := open(t, b.page(), desktop)
	p.loaded("connections")
	p.do(`const s = document.querySelector("#conn-state"); s.value = "closed"; s.dispatchEvent(new Event("change"))`)
	p.await("both are listed with their reasons", `["leaver", "offender", "Client", "Protocol Violation"].every((w) => document.querySelector("#conn-table").innerText.includes(w))`)
	p.await("the last to go comes first", `document.querySelector("th[aria-sort]").innerText.startsWith("Disconnected")`)
}

func TestSubscriptionsAreListedAndTested(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	c := b.connect("subscriber", "")
	c.say("SUB orders.* 1", "SUB orders.> workers 2", "SUB other 3", "UNSUB 3 5")
	for i := range 40 {
		c.send(fmt.Sprintf("SUB more.%d %d", i, 100+i))
	}
	c.say()
	p := open(t, b.page(), desktop)
	p.loaded("subscriptions")
	const rows = `document.querySelectorAll("#sub-table tbody tr")`
	p.await("the first page", rows+`.length === 25 && `+rows+`[0].innerText.includes("orders.*")`)
	p.do(`[...document.querySelectorAll("#sub-pager button")].find((b) => b.textContent === "Next").click()`)
	p.await("the second page", rows+`.length === 18 && document.querySelector("#sub-pager .where").textContent === "26–43"`)
	test := func(subject string) {
		p.do(fmt.Sprintf(`const s = document.querySelector("#sub-test"); s.value = %q; s.dispatchEvent(new Event("input"))`, subject))
	}
	test("orders.new")
	p.await("what a message reaches", rows+`.length === 2 && document.querySelector("#sub-table").innerText.includes("workers")`)
	test("nothing")
	p.await("none", `document.querySelector("#sub-empty").innerText.startsWith("None: a message on “nothing”")`)
	p.mayBeRefused()
	test("orders.*")
	p.await("what is not a subject is refused", `document.querySelector("#sub-trouble").innerText.includes("invalid test subject") && document.querySelector("#sub-test").ariaInvalid === "true"`)
	test("other")
	p.await("and then it is fine again", rows+`.length === 1 && document.querySelector("#sub-trouble").hidden`)
}

func TestMeshShowsWhatIsUpAndWhatIsNot(t *testing.T) {
	t.Parallel()
	up := startBroker(t, "cluster { listen: 127.0.0.1:-1 }")
	down := startBroker(t, "cluster { listen: 127.0.0.1:-1 }")
	down.kill()
	b := startBroker(t, fmt.Sprintf(`cluster { listen: 127.0.0.1:-1, routes: ["nats-route://me:secret@%s", "nats-route://%s"] }`, up.routes, down.routes))
	guest := startBroker(t, fmt.Sprintf(`cluster { listen: 127.0.0.1:-1, routes: ["nats-route://%s"] }`, b.routes))
	p := open(t, b.page(), desktop)
	p.loaded("mesh")
	const peer = `[...document.querySelectorAll("#mesh-peers .node")].find((n) => n.innerText.includes(%q))`
	p.await("three servers", `document.querySelectorAll("#mesh-peers .node").length === 3 && document.querySelectorAll("#mesh-wires .wire").length === 3`)
	p.await("one is connected", fmt.Sprintf(peer+`.dataset.state === "up"`, up.routes))
	p.await("one is not, with the reason", fmt.Sprintf(peer+`.dataset.state === "down" && `+peer+`.innerText.includes("connection refused")`, down.routes, down.routes))
	p.await("one connected to us", fmt.Sprintf(peer+`.dataset.state === "up"`, "it connected to us"))
	p.await("wires lead to them", `[...document.querySelectorAll("#mesh-wires .wire")].map((w) => w.getAttribute("class").split(" ")[1]).sort().join() === "down,up,up"`)
	p.await("the summary says so", `document.querySelector("#mesh-summary").innerText === "2 of 3 other servers connected."`)
	if got := value[string](p, "document.documentElement.innerHTML"); strings.Contains(got, "secret") {
		t.Error("the page has the password of a route")
	}
	guest.kill()
	p.await("a server that left is gone", `document.querySelectorAll("#mesh-peers .node").length === 2`)
	alone := open(t, startBroker(t, "").page(), desktop)
	alone.loaded("mesh")
	if got := alone.text("#mesh"); !strings.Contains(got, "This server is on its own.") {
		t.Errorf("alone: got %q", got)
	}
}

func TestServerMayGoAndComeBack(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	p := open(t, b.page(), desktop)
	p.mayLoseServer()
	state := func(want string) string {
		return fmt.Sprintf(`document.querySelector("#state-text").innerText === %q`, want)
	}
	p.await("the page is live", state("Live"))
	b.kill()
	p.await("the page says that the server is gone", state("Not reachable")+` && document.querySelector("#notices").innerText.startsWith("The server has not answered since")`)
	p.await("a screen reader reads", `document.querySelector("#announce").textContent.startsWith("The server has not answered")`)
	p.shoot("lost", false)
	b.startAgain()
	p.await("the page is live again", state("Live")+` && document.querySelector("#notices").innerText.startsWith("The server was restarted at")`)
	b.connect("new", "")
	p.loaded("connections")
	p.await("and shows the new server", `document.querySelector("#conn-table").innerText.includes("new")`)
	p.do(`document.querySelector("#notices button").click()`)
	p.await("the notice is dismissed", `document.querySelector("#notices").innerText === ""`)
}

func TestPageSaysThatALoginIsNeededNow(t *testing.T) {
	t.Parallel()
	p := open(t, startBroker(t, "").page(), desktop)
	p.await("the page is live", `document.querySelector("#state-text").innerText === "Live"`)
	// What the page sees after the user dismissed the browser's question for a login.
	p.do(`window.asked = 0; window.fetch = async () => { window.asked++; return new Response("login required", { status: 401 }) }`)
	p.await("it says so", `document.querySelector("#state-text").innerText === "Login needed" && document.querySelector("#notices").innerText.includes("asks for a login")`)
	before := value[int](p, "window.asked")
	if after := value[int](p, "new Promise((done) => setTimeout(() => done(window.asked), 2500))"); after > before {
		t.Errorf("it asks on, %d times, and the browser would ask the user each time", after-before)
	}
}

func TestPageSaysThatTheServerIsLeaving(t *testing.T) {
	t.Parallel()
	b := startBroker(t, `lame_duck_duration: "2m"`)
	for range 3 { // they stay for a while
		b.connect("", "").say("SUB foo 1")
	}
	p := open(t, b.page(), desktop)
	p.await("the page is live", `document.querySelector("#state-text").innerText === "Live"`)
	if err := b.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	p.await("it says so", `document.querySelector("#status").innerText.includes("Lame duck mode") && document.querySelector("#status").dataset.status === "warning"`)
}

func TestPausedOrHiddenThePageAsksNothing(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	p := open(t, b.page(), desktop)
	p.await("the page is live", `document.querySelector("#state-text").textContent === "Live"`)
	// asks counts what the page asks for in the time in which it would ask for much.
	asks := func() int {
		return value[int](p, `new Promise((done) => {
			const asked = () => performance.getEntriesByType("resource").length;
			setTimeout(() => { // what was under way has come
				const before = asked();
				setTimeout(() => done(asked() - before), 2500);
			}, 1000);
		})`)
	}
	p.do(`document.querySelector("#pause").click()`)
	p.await("it says so", `document.querySelector("#state-text").innerText === "Paused" && document.querySelector("#pause").ariaPressed === "true"`)
	if n := asks(); n > 0 {
		t.Errorf("paused, it asked %d times", n)
	}
	p.do(`document.querySelector("#pause").click()`)
	p.await("it goes on", `document.querySelector("#state-text").innerText === "Live"`)
	hide := func(on bool) {
		p.do(fmt.Sprintf(`Object.defineProperty(document, "hidden", { value: %t, configurable: true }); document.dispatchEvent(new Event("visibilitychange"))`, on))
	}
	hide(true)
	if n := asks(); n > 0 {
		t.Errorf("hidden, it asked %d times", n)
	}
	hide(false)
	p.await("it asks again", `performance.getEntriesByType("resource").at(-1).startTime > performance.now() - 1000`)
	if n := asks(); n < 2 || n > 12 {
		t.Errorf("in sight, it asked %d times in 2.5 s", n)
	}
}

func TestBasePathLoginAndSameOrigin(t *testing.T) {
	t.Parallel()
	b := startBroker(t, `http_base_path: "/nats/one", http_user: anna, http_password: "s3cret word", http_same_origin: true`)
	b.connect("someone", "")
	for _, path := range []string{"nats/one/", "nats/one"} {
		p := open(t, "http://anna:s3cret%20word@"+b.monitor+"/"+path, desktop)
		p.await("the page is live at "+path, `document.querySelector("#state-text").textContent === "Live"`)
		p.loaded("connections")
		p.await("it lists the client", `document.querySelector("#conn-table").innerText.includes("someone")`)
		links := value[[]string](p, `Promise.all([...document.querySelectorAll("footer a")].map(async (a) => (await fetch(new URL(a.getAttribute("href"), location.origin + location.pathname))).ok ? "" : a.href))`)
		if bad := strings.Join(links, ""); bad != "" {
			t.Errorf("links that lead nowhere: %s", bad)
		}
	}
}

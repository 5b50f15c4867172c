package browser

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestStatusLineSaysWhatIsNotWell(t *testing.T) {
	t.Parallel()
	b := startBroker(t, `cluster { listen: 127.0.0.1:-1 }`)
	p := open(t, b.page(), desktop)
	p.await("all is well", `document.querySelector("#status").dataset.status === "ok" && document.querySelector("#status").innerText === "All well"`)
	if err := os.WriteFile(b.config, []byte("cluster { listen: 127.0.0.1:-1, routes: [\"nats-route://127.0.0.1:1\"] }\nno such thing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await("the reload that failed", `document.querySelector("#status").dataset.status === "warning" && document.querySelector("#status-list").innerText.includes("The reload at ")`)
	p.await("a screen reader reads it", `document.querySelector("#announce").textContent.startsWith("The reload at ")`)
	if err := os.WriteFile(b.config, []byte(`cluster { listen: 127.0.0.1:-1, routes: ["nats-route://127.0.0.1:1"] }`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await("a route is missing", `document.querySelector("#status").dataset.status === "critical" && document.querySelector("#status-list").innerText === "0 of 1 routes connected, missing: 127.0.0.1:1"`)
	p.await("the figure says so", `[...document.querySelectorAll("#figures .alarm")].some((f) => f.innerText.includes("0 of 1") && f.innerText.includes("1 missing"))`)
	p.do(`document.querySelector("#status-list a").click()`)
	p.await("its link leads to the cluster", `location.hash === "#mesh" && document.querySelector('nav a[href="#mesh"]').ariaCurrent === "true"`)
}

func TestChartsAreFullWhenThePageOpens(t *testing.T) {
	t.Parallel()
	p := open(t, startBroker(t, "").page(), desktop)
	p.await("the page is live", `document.querySelector("#state-text").textContent === "Live"`)
	got := value[string](p, `import("/ui/history.js").then(({ History }) => {
		const h = new History();
		const columns = ["at", "in_msgs", "out_msgs", "in_bytes", "out_bytes", "connections", "pending_bytes", "cpu", "mem"];
		const at = (s, n) => h.add({ server_id: "a", start: "a", now: new Date(s * 1000).toISOString(), in_msgs: n, out_msgs: 0, in_bytes: 0, out_bytes: 0, cpu: 1, mem: 2, connections: 3, pending_bytes: 4 });
		const rows = (from, to, n) => { const list = []; for (let s = from; s <= to; s += 5) list.push([s * 1000, n, 0, 0, 0, 3, 4, 1, 2]); return { columns, rows: list }; };
		const shown = () => h.runs().map((r) => r.length + ":" + r[0].in_msgs + "-" + r.at(-1).in_msgs).join(" ");
		const all = [];
		at(3600, 0);
		all.push(h.lacks);
		h.fill(rows(5, 3600, 7));
		all.push(h.lacks, shown());
		h.span = 15 * 60000; all.push(shown());
		h.span = 60 * 60000; all.push(shown());
		for (let s = 3601; s <= 3660; s++) at(s, (s - 3600) * 10); // as seen here
		h.span = 60000; all.push(shown());
		at(3900, 600); at(3901, 610); // after a pause
		all.push(h.lacks, shown());
		h.fill(rows(305, 3900, 8));
		h.span = 15 * 60000; all.push(h.lacks, h.runs().length);
		for (let s = 3902; s <= 5000; s++) at(s, 700);
		h.span = 60 * 60000; all.push(h.runs().length, h.runs().flat().length < 900);
		return JSON.stringify(all);
	})`)
	want := `[true,false,"14:7-7","182:7-7","720:7-7","62:7-10",true,"1:10-10",false,1,1,true]`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.do(`document.querySelector("#span-15").click()`)
	p.await("the charts show more", `document.querySelector("#chart-msgs .axis").innerText.startsWith("15 min ago") && document.querySelector("#span-15").ariaPressed === "true" && document.querySelector("#span-1").ariaPressed === "false"`)
}

func TestSlowConsumersAreGroupedByClient(t *testing.T) {
	t.Parallel()
	p := open(t, startBroker(t, "").page(), desktop)
	p.await("the page is live", `document.querySelector("#state-text").textContent === "Live"`)
	got := value[string](p, `import("/ui/slow.js").then(({ byClient }) => JSON.stringify(byClient([
		{ cid: 9, name: "report", ip: "::1", stop: "2026-01-01T00:09:00Z" }, { cid: 8, ip: "10.0.0.1", stop: "2026-01-01T00:08:00Z" },
		{ cid: 7, name: "report", ip: "::2", stop: "2026-01-01T00:01:00Z" }, { cid: 6, name: "10.0.0.1", ip: "::2", stop: "2026-01-01T00:00:30Z" },
	], Date.parse("2026-01-01T00:10:00Z")).map((g) => [g.last.cid, g.times, g.recent])))`)
	if want := `[[9,2,true],[8,1,true],[6,1,false]]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnchorsLandThoughTablesLoadLate(t *testing.T) {
	t.Parallel()
	b := furnished(t)
	const most = 3 // of nine links may be followed again, where the machine is slow and what was looked for is over
	again := 0.0
	for _, s := range []screen{desktop, {width: 390, height: 844, phone: true}, {width: 2560, height: 1400}} {
		p := open(t, b.page()+"#subscriptions", s)
		p.await("the page is live", `document.querySelector("#state-text").textContent === "Live"`)
		for _, section := range []string{"subscriptions", "connections", "mesh"} {
			// Later the page may become higher above it, and it is left where it is: the page itself looks, often.
			p.do(fmt.Sprintf(`const link = document.querySelector('nav a[href="#%[1]s"]');
			link.click();
			let since = performance.now();
			const look = setInterval(() => {
				if ([...document.querySelectorAll("#%[1]s .empty")].some((e) => e.textContent.includes("Loading"))) return;
				const top = document.querySelector("#%[1]s").getBoundingClientRect().top;
				const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
				if (top >= 0 && (top < 200 || end) && document.querySelector('nav a[aria-current]').hash === "#%[1]s") {
					window.landed = "%[1]s";
					clearInterval(look);
				} else if (performance.now() - since > 5000) {
					since = performance.now();
					window.again = (window.again ?? 0) + 1;
					link.click();
				}
			}, 20);`, section))
			p.await(section+" is loaded, where the reader looks, and marked", fmt.Sprintf(`window.landed === %q`, section))
		}
		if wide := value[float64](p, `Math.max(...[...document.querySelectorAll("nav a")].map((a) => a.getBoundingClientRect().right))`); wide > float64(s.width) {
			t.Errorf("%dpx: the links to sections end at %.0f", s.width, wide)
		}
		again += value[float64](p, `window.again ?? 0`)
	}
	if again > most {
		t.Errorf("links were followed %.0f times again until their sections were where they lead", again)
	}
}

func TestLinksOfTheStatusLineLeadToWhatSaysMore(t *testing.T) {
	t.Parallel()
	b := startBroker(t, `authorization { user: me, password: right }`)
	if err := os.WriteFile(b.config, []byte("authorization { user: me, password: right }\nno such thing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	b.connect("welcome", `,"user":"me","pass":"right"`).say()
	refused, err := net.Dial("tcp", b.clients)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	if _, err := io.WriteString(refused, "CONNECT {\"user\":\"me\",\"pass\":\"wrong\"}\r\n"); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, refused) // until the broker closes the connection
	p := open(t, b.page(), desktop)
	const link = `[...document.querySelectorAll("#status-list a")].find((a) => a.innerText.includes(%q))`
	for _, c := range []struct{ says, section, then string }{
		{"The reload at ", "server", `document.querySelector("#server-facts .said:not([hidden])").innerText.startsWith("The reload at ")`},
		{"1 login refused", "connections", `document.querySelectorAll("#conn-table tbody tr").length === 1 && document.querySelector("#conn-table").innerText.includes("Authentication Failure") && document.querySelector("#conn-state").value === "refused"`},
	} {
		p.await(c.says+" is said", fmt.Sprintf(link, c.says))
		p.do(fmt.Sprintf(link+`.click()`, c.says))
		p.await("its link leads to "+c.section, fmt.Sprintf(`location.hash === "#%s" && document.querySelector('nav a[href="#%[1]s"]').ariaCurrent === "true"`, c.section))
		p.await("what says more", c.then)
	}
	p.do(`const s = document.querySelector("#conn-state"); s.value = "open"; s.dispatchEvent(new Event("change"))`)
	p.await("those that are connected", `document.querySelector("#conn-table").innerText.includes("welcome")`)
}

func TestStatusIsNotKnownWhileTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	p := open(t, b.page(), desktop)
	p.await("all is well", `document.querySelector("#status").innerText === "All well"`)
	p.do(`document.querySelector("#pause").click()`)
	p.await("it was well when the page was paused", `/^All well at \d\d:\d\d:\d\d$/.test(document.querySelector("#status").innerText)`)
	p.do(`document.querySelector("#pause").click()`)
	p.await("and is well now", `document.querySelector("#status").innerText === "All well"`)
	p.mayLoseServer()
	b.kill()
	p.await("nothing is known", `document.querySelector("#status").innerText === "Not known: the server does not answer" && document.querySelector("#status").dataset.status === "wait"`)
	b.startAgain()
	p.await("all is well again", `document.querySelector("#status").dataset.status === "ok" && document.querySelector("#status").innerText === "All well"`)
}

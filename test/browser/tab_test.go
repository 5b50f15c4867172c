package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// screen is what a page is looked at with.
type screen struct {
	width, height int64
	phone         bool
	dark          bool
	calm          bool // prefers-reduced-motion
}

var desktop = screen{width: 1440, height: 900}

// chrome is the browser that all tests share. TestMain starts it.
var chrome context.Context

// startChrome starts a headless Chromium. The function returned ends it.
func startChrome() (context.Context, func(), error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, nil, fmt.Errorf("these tests need Chromium (Debian: apt-get install chromium)")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless,
		chromedp.Flag("disable-dev-shm-usage", true), // which is small in containers
		chromedp.Flag("hide-scrollbars", true)}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root may not have one
	}
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	browser, _ := chromedp.NewContext(ctx)
	if err := chromedp.Do(browser); err != nil {
		end()
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	return browser, end, nil
}

// tab is a page in the browser. A test fails if the page complains on the console, or tries what
// its policy forbids.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex // guards what follows
	complaints []string
	allowed    []string // what complaints may contain
}

// open opens a page on a screen, until the test ends.
func open(t *testing.T, url string, s screen) *tab {
	t.Helper()
	p := &tab{t: t}
	ctx, cancel := chromedp.NewContext(chrome, chromedp.WithListener(p.listen))
	p.ctx = ctx
	t.Cleanup(func() {
		p.checkComplaints()
		cancel()
	})
	scheme, motion := "light", "no-preference"
	if s.dark {
		scheme = "dark"
	}
	if s.calm {
		motion = "reduce"
	}
	view := []chromedp.EmulateViewportOption{chromedp.EmulateScale(1)}
	if s.phone {
		view = []chromedp.EmulateViewportOption{chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch}
	}
	p.run(command(audits.Enable, cdp.Empty{}), command(log.Enable, cdp.Empty{}),
		chromedp.EmulateViewport(s.width, s.height, view...),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}}}),
		chromedp.Navigate(url))
	return p
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// command is a command of the browser's protocol, as an action.
func command[P any](c cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// listen notes what the page complains of.
func (p *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.complain("exception: %v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		p.complain("console.%s: %v", e.Type, e.Args)
	case *log.EventEntryAdded:
		p.complain("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *cdppage.EventJavascriptDialogOpening:
		p.complain("dialog: %s", e.Message)
	case *audits.EventIssueAdded:
		if d := e.Issue.Details.ContentSecurityPolicyIssueDetails; d != nil {
			p.complain("policy: %s %s", d.ViolatedDirective, d.BlockedURL)
		}
	}
}

func (p *tab) complain(format string, v ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = append(p.complaints, fmt.Sprintf(format, v...))
}

// mayLoseServer allows complaints about a server that does not answer.
func (p *tab) mayLoseServer() { p.mayComplain("Failed to load resource: net::ERR_") }

// mayBeRefused allows complaints about a request that the server refuses.
func (p *tab) mayBeRefused() {
	p.mayComplain("Failed to load resource: the server responded with a status of 400")
}

// mayComplain allows complaints that contain one of these texts.
func (p *tab) mayComplain(texts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, texts...)
}

func (p *tab) checkComplaints() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		if !slices.ContainsFunc(p.allowed, func(a string) bool { return strings.Contains(c, a) }) {
			p.t.Errorf("the page complains: %s", c)
		}
	}
}

// value evaluates an expression in the page.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// do evaluates statements in the page.
func (p *tab) do(statements string) {
	p.t.Helper()
	value[bool](p, "(() => {"+statements+"; return true })()")
}

// await waits until an expression is true in the page. One that cannot be evaluated is not, yet.
func (p *tab) await(what, expression string) {
	p.t.Helper()
	wait := fmt.Sprintf(`new Promise((done) => {
		const late = Date.now() + %d;
		const look = () => {
			let now = false;
			try { now = Boolean(%s) } catch {}
			if (now || Date.now() > late) done(now); else setTimeout(look, 30);
		};
		look();
	})`, patience.Milliseconds(), expression)
	now, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](wait, chromedp.EvalAwaitPromise))
	if err != nil || !now {
		p.t.Fatalf("waiting until %s: %v\n%s", what, err, value[string](p, "document.body.innerText"))
	}
}

// text returns what a reader sees of an element.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return value[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// see scrolls to an element.
func (p *tab) see(selector string) {
	p.t.Helper()
	p.do(fmt.Sprintf(`document.querySelector(%q).scrollIntoView({ behavior: "instant" })`, selector))
}

// shoot leaves a picture of the page, if pictures are wanted: of all of it, or of what the screen
// shows.
func (p *tab) shoot(name string, whole bool) {
	p.t.Helper()
	if *shots == "" {
		return
	}
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	picture, err := chromedp.Run(p.ctx, take)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

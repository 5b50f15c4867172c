package browser

import (
	"fmt"
	"testing"
)

func TestClusterShowsWhatTheOthersSay(t *testing.T) {
	t.Parallel()
	far := startBroker(t, "server_name: \"far<img/src=x>\"\ncluster { listen: 127.0.0.1:-1, routes: [\"nats-route://127.0.0.1:1\"] }")
	locked := startBroker(t, "server_name: locked, http_user: a, http_password: b\ncluster { listen: 127.0.0.1:-1 }")
	b := startBroker(t, fmt.Sprintf(`cluster { listen: 127.0.0.1:-1, routes: ["nats-route://%s", "nats-route://%s"] }`, far.routes, locked.routes))
	p := open(t, b.page(), desktop)
	p.loaded("mesh")
	const node = `[...document.querySelectorAll("#mesh-peers .node")].find((n) => n.innerText.includes(%q))`
	p.await("one says what is not well there", fmt.Sprintf(node+`?.querySelector(".said").innerText.includes("routes connected, missing: 127.0.0.1:1")`, "far<img/src=x>"))
	p.await("with a link to its page", fmt.Sprintf(node+`.querySelector("a").href === %q`, "far<img/src=x>", far.page()))
	p.await("one cannot be asked, which is said", fmt.Sprintf(node+`?.querySelector(".said").innerText === "Cannot be asked: its monitoring port asks for a login"`, "locked"))
	if got := value[int](p, `document.querySelectorAll("main img").length`); got != 0 {
		t.Error("the name of a server has become part of the page")
	}
}

// What a program in JavaScript uses of a broker. Run by test/clients: it says
// "restart" to have the broker restarted, and ends with status 0 if all held.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, headers, createInbox, errors, nkeyAuthenticator } from "@nats-io/transport-node";

const servers = process.env.NATS_URL;
const patience = 30_000;
const text = (m) => m.string();

// take returns the next n messages of a subscription.
async function take(sub, n) {
  const got = [];
  for await (const m of sub) {
    got.push(m);
    if (got.length === n) break;
  }
  return got;
}

async function publishesAndSubscribes(nc) {
  const sub = nc.subscribe("node.*.x", { max: 2 });
  nc.publish("node.a.x", "one");
  nc.publish("node.b.y", "not this");
  nc.publish("node.b.x", "two", { reply: "there" });
  const got = await take(sub, 2);
  assert.deepEqual(got.map(text), ["one", "two"]);
  assert.equal(got[1].reply, "there");
}

async function takesHeaders(nc) {
  const sub = nc.subscribe("node.headers", { max: 1 });
  const h = headers();
  h.append("Colour", "red");
  h.append("Colour", "blue");
  nc.publish("node.headers", "body", { headers: h });
  const [m] = await take(sub, 1);
  assert.equal(text(m), "body");
  assert.deepEqual(m.headers.values("Colour"), ["red", "blue"]);
}

async function sharesWorkInAQueueGroup(nc) {
  let handled = 0;
  let all;
  const done = new Promise((resolve) => (all = resolve));
  const callback = () => ++handled === 100 && all();
  const subs = [0, 1, 2].map(() => nc.subscribe("node.work", { queue: "workers", callback }));
  for (let i = 0; i < 100; i++) nc.publish("node.work");
  await done;
  await nc.flush();
  assert.equal(handled, 100);
  await Promise.all(subs.map((s) => s.drain()));
}

async function requests(nc) {
  const service = nc.subscribe("node.service", {
    callback: (_err, m) => m.respond(`you said ${m.string()}`, { headers: m.headers }),
  });
  const h = headers();
  h.set("Trace", "7");
  for (const noMux of [false, true]) {
    const m = await nc.request("node.service", "hello", { timeout: patience, headers: h, noMux });
    assert.equal(text(m), "you said hello");
    assert.equal(m.headers.get("Trace"), "7");
  }
  service.unsubscribe();
}

async function failsAtOnceWithoutResponders(nc) {
  for (const noMux of [false, true]) {
    const begin = Date.now();
    await assert.rejects(nc.request("node.unheard", "", { timeout: patience, noMux }), (err) => {
      const found = [err, err.cause].some((e) => e instanceof errors.NoRespondersError);
      assert.ok(found, `got ${err}`);
      return true;
    });
    assert.ok(Date.now() - begin < patience / 2, "it took as long as a timeout");
  }
}

async function comesBackAfterARestart(nc) {
  const inbox = createInbox();
  const sub = nc.subscribe(inbox, { max: 1 });
  await nc.flush();
  const back = (async () => {
    for await (const s of nc.status()) if (s.type === "reconnect") return;
  })();
  console.log("restart");
  await back;
  nc.publish(inbox, "again");
  const [m] = await take(sub, 1);
  assert.equal(text(m), "again");
}

async function signsWithAnNkey() {
  const nkey = { servers: process.env.NKEY_URL, timeout: patience, reconnect: false };
  await assert.rejects(connect(nkey));
  const seed = readFileSync(process.env.NKEY_SEED);
  const nc = await connect({ ...nkey, authenticator: nkeyAuthenticator(seed) });
  await nc.flush();
  await nc.close();
}

const nc = await connect({ servers, name: "node", timeout: patience, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
assert.equal(nc.info.headers, true);
await nc.rtt();
for (const step of [
  publishesAndSubscribes,
  takesHeaders,
  sharesWorkInAQueueGroup,
  requests,
  failsAtOnceWithoutResponders,
  comesBackAfterARestart,
  signsWithAnNkey,
]) {
  await step(nc);
  console.log(`ok ${step.name}`);
}
const last = nc.subscribe("node.last");
const drained = (async () => {
  let n = 0;
  for await (const _ of last) n++;
  return n;
})();
for (let i = 0; i < 50; i++) nc.publish("node.last");
await nc.drain();
assert.equal(await drained, 50);
console.log("ok drains");

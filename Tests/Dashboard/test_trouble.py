"""What is forbidden, broken, hostile or very much."""

import functools
import http.server
import json
import subprocess
import threading
import time
import urllib.parse

import pytest

from conftest import BASE, TOP, VIEWS, await_that, violations

HOSTILE = ["<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "'\"><svg onload=alert(1)>", "javascript:alert(1)", "\u202egnp.exe\u0007\u001b[31m", "{{7*7}}${7*7}", "__proto__"]


def test_a_viewer_looks_and_is_told_what_is_forbidden(desk, fleet):
    one = desk("viewer")
    one.sees("read only", ".account")
    for place, words in {"executors": "demo", "capabilities": "demo.echo", "circuits": "demo.fail / demo", "schedules": "nightly", "checks": "disk"}.items():
        one.go(place)
        one.sees(words)
    for place in ("tasks", "history"):
        one.go(place)
        one.sees("needs the role publisher or operator")
    one.go("overview")
    one.sees("needs the role operator")
    one.go("schedules/tick")
    button = one.page.locator("[data-act='schedule.trigger']")
    button.wait_for()
    assert button.get_attribute("aria-disabled") == "true"
    button.click(force=True)
    one.sees("may read views only", ".replies")
    found = violations(one.page)
    assert not found, found
    assert one.faults == []


def test_a_publisher_is_told_that_the_views_are_closed_to_it(desk, fleet):
    one = desk("shop")
    one.sees("may not read the retained views. This needs the role viewer or operator", ".banner")
    one.go("executors")
    one.sees("What there is cannot be read")
    one.go("overview")
    one.sees("needs the role operator")
    one.page.locator("[data-act=run]").first.click()
    one.page.fill("#field-capability", "demo.echo")
    one.page.click("[data-confirm]")
    one.sees("Success in", ".replies")
    found = violations(one.page)
    assert not found, found


def test_a_wrong_password_is_told(browser, stack):
    page = browser.new_page()
    page.goto(stack.page)
    page.fill("input[name=user]", "me")
    page.fill("input[name=password]", "wrong")
    page.click("button[type=submit]")
    page.wait_for_selector("#login-fault")
    assert "does not admit me" in page.inner_text("#login-fault")
    assert not violations(page)
    assert "wrong" not in page.url
    page.close()


def test_the_account_outlives_a_reload_only_if_that_is_ticked(browser, stack):
    page = browser.new_page()
    for ticked in (False, True):
        page.goto(stack.page)
        page.fill("input[name=user]", "me")
        page.fill("input[name=password]", stack.password("me"))
        if ticked:
            page.check("input[name=keep]")
        page.click("button[type=submit]")
        page.wait_for_selector("#conn.tone-good")
        assert stack.password("me") not in page.url
        assert (stack.password("me") in page.evaluate("JSON.stringify({...sessionStorage})")) == ticked
        assert stack.password("me") not in page.evaluate("JSON.stringify({...localStorage}) + document.cookie")
        page.reload()
        page.wait_for_selector("#conn.tone-good" if ticked else "input[name=password]")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("input[name=password]")
    assert stack.password("me") not in page.evaluate("JSON.stringify({...sessionStorage})")
    page.close()


def test_the_policy_of_the_page_stops_what_gets_in(desk, stack):
    """Even if somebody found a way to put markup into the page, it would not run, and nothing could be sent elsewhere."""
    one = desk()
    found = one.page.evaluate("""async () => {
        const tried = {};
        await new Promise(done => setTimeout(done, 50)); // what a debugger calls may do more
        const attempt = async (name, act) => { try { await act(); tried[name] = "done"; } catch (fault) { tried[name] = fault.name; } };
        await attempt("script", () => { const script = document.createElement("script"); script.textContent = "window.got = 1"; document.body.append(script); });
        await attempt("markup", () => { document.body.insertAdjacentHTML("beforeend", "<b onclick=alert(1)>"); });
        await attempt("eval", () => (0, eval)("window.got = 2"));
        await attempt("fetch", () => fetch("http://127.0.0.2:9/"));
        return [tried, window.got === undefined];
    }""")
    assert found[1] and found[0] == {"script": "TypeError", "markup": "TypeError", "eval": "EvalError", "fetch": "TypeError"}, found


@pytest.mark.parametrize("version", [3, 5])
def test_the_page_works_with_both_versions(desk, fleet, version):
    one = desk(query=f"?mqtt={version}")
    assert ("3.1.1" if version == 3 else "MQTT 5") in one.page.get_attribute("#conn", "title")
    one.go("executors/demo")
    one.sees("For the dispatcher", ".detail")


def test_hostile_names_and_texts_stay_text(desk, fleet):
    fleet.martlet("broker", "account", "add", "evil", "--role", "executor", "--dir", fleet.broker, "--password-file", fleet.secret("evil"))
    text = " ".join(HOSTILE)
    fleet.publish("evil", f"{BASE}/executor/evil/card", {"boot": "b1", "rev": 1, "type": HOSTILE[0], "version": HOSTILE[1], "labels": HOSTILE, "capabilities": [{"name": "evil.echo", "kind": HOSTILE[2][:60]}]})
    fleet.publish("evil", f"{BASE}/executor/evil/status", {"status": "online", "boot": "b1"})
    fleet.martlet("run", "demo.echo", json.dumps({"text": text, "name": "script", "children": HOSTILE}), "--id", "evil-1")
    one = desk()
    # The services put right at once what a stranger writes on their topics: these come as if they had gone mad themselves.
    views = {
        "alert/heartbeat.evil": {"severity": "critical", "since": HOSTILE[0], "text": text},
        "liveness/evil": {"verdict": HOSTILE[1], "reason": text, "since": [], "last_seen": {"a": 1}},
        "check/evil": {"definition": {"spec": [], "work": text, "type": text}, "state": {"status": text, "next": [text, {}, 7, None], "last": 5, "slots": {"skipped": {text[:40]: "x"}}}, "status": text, "last": {"message": text, "ran_at": text}},
        "notify/memory/heartbeat.evil": [{"message": text, "status": text}, 5, None],
        "capability/evil.echo": {"executors": [{"executor": text}, None, 5], "conflicts": [{"class": text, "executors": [text, 1, None]}], "queued": "9", "circuit": text, "cost_min": text},
        # Words that every object of the language knows.
        "circuit/evil.echo": {"state": "constructor", "why": "toString", "since": "valueOf"},
        "liveness/worse": {"verdict": "__proto__", "reason": "constructor"},
        "check/worse": {"status": "hasOwnProperty", "state": {"status": "constructor"}},
        "alert/worse": {"severity": "constructor", "text": "__proto__"},
        "event/TASK_ACCEPTED/worse": {"event": "constructor", "event_id": "__proto__", "subject": "worse", "data": {"principal": "__proto__"}},
        "circuit/evil.echo/evil": {"state": text, "why": text, "forced_by": text, "since": text, "until": text},
        "schedule/evil": {"definition": {"type": "cron", "spec": {"expr": text, "timezone": text}}, "state": {"status": "active", "next": text, "pending_deferred": {"run": text, "reason": text}, "live": [text, {}]}},
        "event/EXECUTOR_ONLINE/dispatcher.evil": {"event_id": text, "event": text, "subject": "evil", "at": text, "data": {"x": text, "name": "script", "children": [text]}}}
    one.page.evaluate("""views => { for (const [topic, value] of Object.entries(views)) M.store.take({topic: "main/martlet1/" + topic, payload: M.codec.bytes(JSON.stringify(value)), retain: false}, "main"); }""", views)
    for place in [*VIEWS, "executors/evil", "checks/evil", "capabilities/evil.echo", "circuits/evil.echo/evil", "circuits/evil.echo", "executors/worse", "checks/worse", "schedules/evil", "tasks/constructor", "constructor", "tasks/me/evil-1", "messages"]:
        one.go(place)
        one.page.wait_for_timeout(600)
        assert "cannot be shown" not in one.text(), f"{place}: {one.text()}"
        assert one.page.evaluate("document.querySelectorAll('#app img, #app script, #app iframe, #app [onerror], #app [onload], a[href^=javascript]').length") == 0
    one.go("executors/evil")
    one.sees(HOSTILE[0], ".detail")
    one.sees("\\u202e", ".detail")
    one.go("executors/" + urllib.parse.quote(HOSTILE[0], safe=""))
    one.sees("It is not there", ".detail")
    assert one.faults == []
    fleet.publish("evil", f"{BASE}/executor/evil/card", None)
    fleet.publish("evil", f"{BASE}/executor/evil/status", None)


def test_any_static_server_will_do(desk, fleet):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(TOP / "deploy/dashboard"))
    handler.log_message = lambda *words: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        one = desk(address=f"http://127.0.0.1:{server.server_port}/", query="?broker=" + fleet.page.replace("http", "ws", 1))
        one.sees("able to work")
    finally:
        server.shutdown()


SAMPLE = """async () => {
    let long = 0;
    const watch = new PerformanceObserver(list => { long += list.getEntries().length; });
    watch.observe({type: "longtask"});
    const gaps = [], end = performance.now() + 4000, box = document.querySelector('.scroller');
    let last = performance.now();
    await new Promise(done => { const tick = at => { gaps.push(at - last); last = at; box.scrollTop += 170; if (at < end) requestAnimationFrame(tick); else done(); }; requestAnimationFrame(tick); });
    gaps.sort((a, b) => a - b);
    watch.disconnect();
    return {frames: gaps.length, long, median: gaps[gaps.length >> 1], p99: gaps[Math.floor(gaps.length * .99)], worst: gaps.at(-1), rows: document.querySelectorAll('.scroller tbody tr').length};
}"""


def test_ten_thousand_tasks_and_a_thousand_executors(desk, fleet):
    """Both lists are scrolled while they change. Frame times are printed, not judged: they are the machine's, too."""
    flood(desk, fleet)
    one = desk()
    one.go("tasks")
    await_that(lambda: one.page.evaluate("M.store.tasks.size") >= 10000, "10000 tasks", 150)
    tasks = one.page.evaluate(SAMPLE)
    one.go("executors")
    await_that(lambda: one.page.evaluate("M.store.executors.size") >= 1000, "1000 executors", 30)
    executors = one.page.evaluate(SAMPLE)
    began = time.monotonic()
    one.page.fill("#filter-executors", "bulk-0500")
    await_that(lambda: "bulk-0500" in one.text(".scroller") and one.page.locator(".scroller tbody tr").count() <= 3, "the filter")
    print("tasks", tasks, "executors", executors, "filter", round(1000 * (time.monotonic() - began)), "ms, paint", one.page.evaluate("M.paintTook"), "ms")
    assert tasks["rows"] < 120 and executors["rows"] < 120, "only the rows in sight exist"
    assert one.faults == []


def flood(desk, stack):
    """10 000 delayed tasks by one sender, and 1000 cards by an account that may write all of them."""
    stack.martlet("broker", "account", "add", "bulk", "--role", "publisher", "--dir", stack.broker, "--password-file", stack.secret("bulk"))
    with open(stack.broker / "acl", "a") as access:
        access.write(f"topic write {BASE}/executor/+/+\n" if "user bulk" in (stack.broker / "acl").read_text().split("user ")[-1] else f"\nuser bulk\ntopic write {BASE}/executor/+/+\ntopic write {BASE}/intent/bulk/#\ntopic read {BASE}/update/bulk/#\n")
    subprocess.run(["kill", "-HUP", (stack.broker / "run/mosquitto.pid").read_text().strip()], check=True)
    time.sleep(0.5)
    one = desk()
    accepted = one.page.evaluate("""async password => {
        const accepted = new Set();
        const client = await new Promise(resolve => {
            const one = new M.Client({url: `ws://${location.host}/mqtt`, user: "bulk", password, version: 5, onMessage: packet => accepted.add(packet.topic), onState: state => state === "online" && resolve(one)});
            one.subscribe("main/martlet1/update/bulk/#");
            one.open();
        });
        const send = (topic, payload, retain) => client.queue.push({topic, payload: JSON.stringify(payload), retain});
        for (let n = 0; n < 1000; n++) {
            const name = `bulk-${String(n).padStart(4, "0")}`;
            send(`main/martlet1/executor/${name}/card`, {boot: "b1", rev: 1, type: "bulk", slots: 4, capabilities: [{name: `bulk.c${n % 50}`}]}, true);
            send(`main/martlet1/executor/${name}/status`, {status: "online", boot: "b1"}, true);
        }
        for (let n = 0; n < 10000; n++) send(`main/martlet1/intent/bulk/demo.echo/t-${n}`, {delay_ms: 3600000, input: n}, false);
        client.flush();
        const until = Date.now() + 90000;
        while (accepted.size < 10000 && Date.now() < until) await new Promise(resolve => setTimeout(resolve, 100));
        client.close();
        return accepted.size;
    }""", stack.password("bulk"))
    assert accepted == 10000
    one.close()


def test_a_lost_connection_is_told_and_mended(desk, stack):
    one = desk()
    one.sees("able to work")
    broker = int((stack.broker / "run/mosquitto.pid").read_text().strip())
    subprocess.run(["kill", "-KILL", str(broker)], check=True)
    one.sees("Stale: what is shown is from", "#stale")
    assert one.page.locator("#conn.tone-bad, #conn.tone-warn").count() == 1
    one.page.wait_for_selector("#conn.tone-good", timeout=40000)
    one.page.wait_for_selector("#stale", state="detached")
    one.go("executors/demo")
    one.sees("For the dispatcher", ".detail")

"""Every view and every action of the dashboard, against the real programs."""

import json
import subprocess
import time
import urllib.parse

import pytest
from axe_playwright_python.sync_playwright import Axe

from conftest import BASE, TOP, await_that

VIEWS = ["overview", "tasks", "schedules", "executors", "capabilities", "circuits", "checks", "cost", "history", "messages"]
HOSTILE = ["<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "'\"><svg onload=alert(1)>", "javascript:alert(1)", "\u202egnp.exe\u0007\u001b[31m", "{{7*7}}${7*7}"]


@pytest.fixture(scope="module")
def fleet(stack):
    """State of every kind, made by the running services."""
    run = stack.martlet
    for n in range(6):
        run("run", "demo.fail", json.dumps({"code": "printer_jam"}), "--id", f"fail-{n}", "--retry", "0", "--timeout", "5s", check=False)
    run("publish", "demo.sleep", '{"ms":250000}', "--id", "sleeper", "--timeout", "5m")
    run("publish", "demo.echo", "{}", "--id", "later", "--delay", "1h")
    run("run", "demo.echo", '{"a":1}', "--id", "echoed")
    run("schedule", "put", "tick", "--every", "10s", "--capability", "demo.echo")
    run("schedule", "put", "nightly", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--capability", "demo.echo")
    run("check", "put", "disk", "--every", "10s", "--capability", "demo.echo", "--agent", "demo")
    run("check", "put", "jam", "--every", "10s", "--capability", "demo.fail", "--agent", "demo")
    return stack


def now(seconds=0):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + seconds))


def test_all_files_together_are_under_150_kb():
    sizes = {file.name: file.stat().st_size for file in (TOP / "deploy/dashboard").iterdir() if file.suffix in (".html", ".css", ".js")}
    print(sizes)
    assert sum(sizes.values()) < 150 * 1024


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1360, 360])
def test_every_view_is_accessible_and_asks_no_other_host(desk, fleet, scheme, width):
    one = desk(width=width, scheme=scheme)
    places = [*VIEWS, "tasks/me/fail-1", "tasks/me/later", "tasks/me/sleeper", "schedules/nightly", "executors/demo", "capabilities/demo.fail", "circuits/demo.fail/demo", "checks/disk"]
    for place in places:
        one.go(place)
        one.page.wait_for_selector("main h1, main h2")
        one.page.wait_for_timeout(700)
        found = Axe().run(one.page).response["violations"]
        assert not found, f"{place}: " + json.dumps([(v["id"], v["help"], [n["html"][:160] + " " + n["failureSummary"][:300] for n in v["nodes"][:3]]) for v in found], indent=1)
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width, f"{place} is wider than the page"
        assert "cannot be shown" not in one.text()
    one.page.click("#help")
    assert not Axe().run(one.page).response["violations"]
    host = urllib.parse.urlparse(fleet.page).netloc
    foreign = [url for url in one.requests if urllib.parse.urlparse(url).netloc != host and not url.startswith("data:")]
    assert foreign == [] and len(one.requests) > 10
    assert one.faults == []


def test_views_show_what_there_is(desk, fleet):
    one = desk()
    one.sees("all able to work")
    one.sees("dispatcher", ".services, main")
    one.sees("printer_jam")
    for place, words in {
            "tasks": ["fail-0", "sleeper", "later", "echoed"], "tasks/me/fail-1": ["Attempts", "printer_jam", "Try 1", "Input"],
            "tasks/me/later": ["Why it waits", "its delay is not over", "Next known moment"],
            "schedules": ["tick", "every 10 s", "Preview of an expression"], "schedules/nightly": ["Next five", "Local (UTC)", "From now", "30 2 * * *"],
            "executors": ["demo", "Verdict"], "executors/demo": ["demo.echo", "Slots used"], "capabilities": ["demo.sleep", "Waiting / free"],
            "capabilities/demo.echo": ["could take it"], "circuits": ["demo.fail / demo", "printer_jam"],
            "circuits/demo.fail/demo": ["5 in a row", "History since", "Failures in a row"], "checks": ["disk", "jam", "heartbeat.check.jam"], "checks/disk": ["Last runs", "Next five"],
            "cost": ["Spent"], "history": ["History"], "messages": ["main/martlet1/executor/demo/card"]}.items():
        one.go(place)
        for word in words:
            one.sees(word)
    assert one.faults == []


def test_a_filter_and_a_chip_narrow_the_tasks(desk, fleet):
    one = desk()
    one.go("tasks")
    one.sees("sleeper")
    one.page.keyboard.press("/")
    one.page.keyboard.type("fail-3")
    await_that(lambda: "fail-3" in one.text() and "sleeper" not in one.text(), "only fail-3")
    one.page.fill("#filter-tasks", "")
    one.page.get_by_role("button", name="Running").click()
    await_that(lambda: "sleeper" in one.text() and "fail-3" not in one.text(), "only what runs")


def test_the_keyboard_alone_is_enough(desk, fleet):
    one = desk()
    page = one.page
    for key in "gt":
        page.keyboard.press(key)
    one.sees("sleeper")
    page.keyboard.press("j")
    page.keyboard.press("j")
    row = page.evaluate("document.activeElement.dataset.row")
    assert row
    page.wait_for_timeout(1500)
    assert page.evaluate("document.activeElement.dataset.row") == row, "an update moved the focus"
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail")
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    for key, title in {"o": "Overview", "s": "Schedules", "i": "Circuits", "m": "Messages"}.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        one.sees(title, "main h1")


def test_run_shows_accepted_and_the_result(desk, fleet):
    one = desk()
    one.page.locator("[data-act=run]").first.click()
    one.page.fill("#field-capability", "demo.echo")
    one.page.fill("#field-input", "{no json")
    one.page.click("[data-confirm]")
    one.sees("The input is not JSON", "dialog")
    one.page.fill("#field-input", '{"from":"dashboard"}')
    one.page.fill("#field-id", "by-hand")
    one.page.click("[data-confirm]")
    one.sees("Success in", ".replies")
    one.sees('"from":"dashboard"', ".replies")
    one.go("tasks/me/by-hand")
    one.sees("success", ".detail")
    one.page.locator("[data-act=again]").click()
    assert json.loads(one.page.input_value("#field-input")) == {"from": "dashboard"}


def test_cancel_asks_by_weight(desk, fleet):
    fleet.martlet("publish", "demo.echo", "{}", "--id", "later-2", "--delay", "1h")
    fleet.martlet("publish", "demo.sleep", '{"ms":200000}', "--id", "sleeper-2", "--timeout", "5m")
    one = desk()
    one.go("tasks/me/later-2")
    one.sees("delayed", ".detail")
    assert "canceled" in one.act("task.cancel")
    one.sees("canceled", ".detail header")
    one.go("tasks/me/sleeper-2")
    one.sees("running", ".detail header")
    one.page.click("[data-act='task.cancel']")
    one.sees("The task runs on demo", "dialog")
    one.page.keyboard.press("Escape")
    assert "cancel" in one.act("task.cancel", fields={"reason": "test"})
    one.sees("canceled", ".detail header")


def test_assign_and_retry(desk, fleet):
    one = desk()
    one.go("tasks/me/later")
    one.sees("delayed", ".detail")
    assert "Done" in one.act("task.assign", fields={"executor": "demo"})
    one.sees("Assigned to", ".detail")
    one.go("tasks/me/fail-2")
    one.sees("failed", ".detail header")
    assert "fail-2~r1" in one.act("task.redrive")


def test_approve_and_deny(desk, fleet):
    """A rule of the dispatcher asks for approval: the service is started again with it."""
    folder, broker = fleet.folder / "rules", fleet.broker
    folder.mkdir(exist_ok=True)
    rules = {"dispatcher": {"task_events": True, "policy": {"main": [
        {"id": "ask", "priority": 10, "effect": "require_approval", "principals": ["shop"], "verbs": ["execute"], "capabilities": ["demo.*"]},
        {"id": "rest", "priority": 1, "effect": "allow", "principals": ["*"], "verbs": ["*"], "capabilities": ["*"]}]}}}
    configuration = fleet.folder / "up/martlet.json"
    before = configuration.read_text()
    configuration.write_text(json.dumps(rules))
    process = fleet.process_of("dispatcher")
    subprocess.run(["kill", "-HUP", process], check=True)
    try:
        one = desk()
        for name, verb, fields, state in (("ask-1", "approve", None, "success"), ("ask-2", "deny", {"reason": "no"}, "rejected")):
            def asked():
                fleet.publish("shop", f"{BASE}/intent/shop/demo.echo/{name}", {"input": 1}, retain=False)
                time.sleep(0.3)
                return "awaiting_approval" in fleet.martlet("task", "get", name, "--principal", "shop", "--json", check=False)
            await_that(asked, "the rule holds")
            one.go(f"tasks/shop/{name}")
            one.sees("needs approval", ".detail header")
            assert "Done" in one.act(f"task.{verb}", fields=fields)
            one.sees(state, ".detail header")
    finally:
        configuration.write_text(before)
        subprocess.run(["kill", "-HUP", process], check=True)


def test_schedules_are_steered(desk, fleet):
    one = desk()
    one.go("schedules/tick")
    assert "tick~m." in one.act("schedule.trigger")
    one.act("schedule.pause")
    one.sees("paused", ".detail header")
    one.act("schedule.resume")
    one.sees("active", ".detail header")
    fleet.martlet("schedule", "put", "gone", "--every", "1h", "--capability", "demo.echo")
    one.go("schedules/gone")
    one.sees("every 1 h", ".detail")
    one.page.click("[data-act='schedule.delete']")
    one.sees("The schedule is removed", "dialog")
    one.page.click("[data-confirm]")
    one.sees("It is not there", ".detail")


def test_an_expression_is_previewed_while_it_is_typed(desk, fleet):
    one = desk()
    one.go("schedules")
    one.page.fill("#preview-zone", "Europe/Berlin")
    one.page.fill("#preview-expr", "30 2 29 3 *")
    one.sees("+02:00", "#preview-answer")
    one.page.fill("#preview-expr", "99 2 * * *")
    one.sees("minute", "#preview-answer")
    assert one.page.locator("#preview-answer mark").count() == 1
    one.page.fill("#preview-expr", "0 9 * * 1-5")
    one.sees("09:00:00", "#preview-answer")


def test_executors_capabilities_and_circuits_are_steered(desk, fleet):
    one = desk()
    one.go("executors/demo")
    one.sees("For the dispatcher", ".detail")
    one.act("executor.drain")
    one.page.wait_for_selector("[data-act='executor.resume']")
    one.act("executor.resume")
    one.page.wait_for_selector("[data-act='executor.drain']")
    one.page.locator("[data-act='executor.drain']").nth(1).click()
    one.sees("goes back to the queue", "dialog")
    one.page.keyboard.press("Escape")
    one.go("capabilities/text.count")
    one.act("capability.pause")
    one.sees("paused: takes nothing new", ".detail")
    one.act("capability.resume")
    one.sees("could take it", ".detail")
    one.act("circuit.open", fields={"for_ms": "60000"})
    one.go("circuits/text.count")
    one.sees("held for", ".detail")
    one.sees("me", ".detail")
    one.act("circuit.close")
    one.sees("closed", ".detail header")
    one.act("circuit.reset")
    one.go("circuits/demo.fail/demo")
    one.act("circuit.reset")
    one.sees("closed", ".detail header")


def test_a_refusal_is_shown_with_its_code(desk, fleet):
    one = desk()
    one.go("circuits/never.seen")
    assert "not_found" in one.act("circuit.reset")


def test_checks_are_steered(desk, fleet):
    one = desk()
    one.go("checks/disk")
    assert "disk~m." in one.act("check.run")
    one.act("check.pause")
    one.page.wait_for_selector("[data-act='check.resume']")
    one.act("check.resume")
    one.page.wait_for_selector("[data-act='check.pause']")


def test_no_answer_is_unknown_and_repeated_with_the_same_id(desk, fleet):
    """A service that stands still does not answer; once it goes on, the repeated command is answered."""
    scheduler = fleet.process_of("scheduler")
    one = desk()
    one.go("schedules/nightly")
    one.sees("Next five", ".detail")
    subprocess.run(["kill", "-STOP", scheduler], check=True)
    try:
        one.page.click("[data-act='schedule.pause']")
        one.page.click("#yes")
        one.sees("the outcome is unknown", ".replies")
    finally:
        subprocess.run(["kill", "-CONT", scheduler], check=True)
    one.page.get_by_role("button", name="Repeat with the same id").click()
    one.sees("Done", ".replies")
    one.sees("paused", ".detail header")
    one.act("schedule.resume")


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
    found = Axe().run(one.page).response["violations"]
    assert not found, [v["id"] for v in found]
    assert one.faults == []


def test_a_wrong_password_is_told(browser, stack):
    page = browser.new_page()
    page.goto(stack.page)
    page.fill("input[name=user]", "me")
    page.fill("input[name=password]", "wrong")
    page.click("button[type=submit]")
    page.wait_for_selector("#login-fault")
    assert "does not admit me" in page.inner_text("#login-fault")
    assert not Axe().run(page).response["violations"]
    assert "wrong" not in page.url
    page.close()


def test_messages_are_seen_and_copied_as_a_command(desk, fleet):
    one = desk()
    one.go("messages")
    one.page.fill("#topic-filter", f"{BASE}/schedule/nightly")
    one.page.get_by_role("button", name="Subscribe").click()
    one.sees("schedule/nightly", ".scroller")
    one.page.locator(".scroller [data-row]").first.click()
    one.page.click("[data-act=copy-pub]")
    command = await_that(lambda: one.page.evaluate("navigator.clipboard.readText()"), "the clipboard")
    assert command.startswith(f"mosquitto_pub -q 1 -r -t '{BASE}/schedule/nightly' -m '{{")
    one.go("messages")
    one.page.get_by_role("button", name="Retained tree").click()
    one.sees("martlet1", ".scroller")


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
        "circuit/evil.echo/evil": {"state": text, "why": text, "forced_by": text, "since": text, "until": text},
        "schedule/evil": {"definition": {"type": "cron", "spec": {"expr": text, "timezone": text}}, "state": {"status": "active", "next": text, "pending_deferred": {"run": text, "reason": text}, "live": [text, {}]}},
        "event/EXECUTOR_ONLINE/dispatcher.evil": {"event_id": text, "event": text, "subject": "evil", "at": text, "data": {"x": text, "name": "script", "children": [text]}}}
    one.page.evaluate("""views => { for (const [topic, value] of Object.entries(views)) M.store.take({topic: "main/martlet1/" + topic, payload: M.codec.bytes(JSON.stringify(value)), retain: false}, "main"); }""", views)
    for place in [*VIEWS, "executors/evil", "checks/evil", "capabilities/evil.echo", "circuits/evil.echo/evil", "schedules/evil", "tasks/me/evil-1", "messages"]:
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
    import functools, http.server, threading
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(TOP / "deploy/dashboard"))
    handler.log_message = lambda *words: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        one = desk(address=f"http://127.0.0.1:{server.server_port}/", query="?broker=" + fleet.page.replace("http", "ws", 1))
        one.sees("all able to work")
    finally:
        server.shutdown()


SAMPLE = """async () => {
    const gaps = [], end = performance.now() + 4000, box = document.querySelector('.scroller');
    let last = performance.now();
    await new Promise(done => { const tick = at => { gaps.push(at - last); last = at; box.scrollTop += 170; if (at < end) requestAnimationFrame(tick); else done(); }; requestAnimationFrame(tick); });
    gaps.sort((a, b) => a - b);
    return {frames: gaps.length, median: gaps[gaps.length >> 1], p99: gaps[Math.floor(gaps.length * .99)], worst: gaps.at(-1), rows: document.querySelectorAll('.scroller tbody tr').length};
}"""


def test_ten_thousand_tasks_and_a_thousand_executors(desk, fleet):
    """Both lists are scrolled while they change; frame times are printed."""
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
    for found in (tasks, executors):
        assert found["median"] < 50 and found["p99"] < 400, found
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
    one.sees("all able to work")
    broker = int((stack.broker / "run/mosquitto.pid").read_text().strip())
    subprocess.run(["kill", "-KILL", str(broker)], check=True)
    one.sees("Stale: what is shown is from", "#stale")
    assert one.page.locator("#conn.tone-bad, #conn.tone-warn").count() == 1
    one.page.wait_for_selector("#conn.tone-good", timeout=40000)
    one.page.wait_for_selector("#stale", state="detached")
    one.go("executors/demo")
    one.sees("For the dispatcher", ".detail")

"""Every view of the dashboard, against the real programs: what it shows, and that everybody can use it."""

import json
import re
import subprocess
import time
import urllib.parse

import pytest

from conftest import BASE, PROGRAMS, TOP, VIEWS, await_that, violations

DETAILS = ["tasks/me/fail-1", "tasks/me/page-1", "tasks/me/later", "schedules/nightly", "executors/demo", "capabilities/demo.fail", "circuits/demo.fail/demo", "checks/disk"]


def test_all_files_together_are_under_150_kb():
    sizes = {file.name: file.stat().st_size for file in (TOP / "deploy/dashboard").iterdir() if file.suffix in (".html", ".css", ".js")}
    print(sizes)
    assert sum(sizes.values()) < 150 * 1024


def test_the_files_carry_the_version_of_the_programs():
    """No cache headers come from the broker: a new version has new addresses."""
    version = subprocess.run([PROGRAMS / "martlet", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    index = (TOP / "deploy/dashboard/index.html").read_text()
    files = {file.name for file in (TOP / "deploy/dashboard").iterdir() if file.suffix in (".css", ".js")}
    assert set(re.findall(r'(?:src|href)="([a-z-]+\.(?:js|css)\?v=[^"]*)"', index)) == {f"{name}?v={version}" for name in files}


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1360, 360])
def test_every_view_is_accessible_and_asks_no_other_host(desk, fleet, sleeper, scheme, width):
    one = desk(width=width, scheme=scheme)
    for place in [*VIEWS, *DETAILS, f"tasks/me/{sleeper}"]:
        one.go(place)
        one.page.wait_for_selector("main h1:visible")
        one.page.wait_for_timeout(700)
        one.looks_right(place)
    one.page.click("#help")
    assert not violations(one.page)
    host = urllib.parse.urlparse(fleet.page).netloc
    foreign = [url for url in one.requests if urllib.parse.urlparse(url).netloc != host and not url.startswith("data:")]
    assert foreign == [] and len(one.requests) > 10
    assert one.faults == []


def test_views_show_what_there_is(desk, fleet):
    one = desk()
    for words in ("able to work", "dispatcher", "printer_jam", "Tasks by state", "Waiting"):
        one.sees(words)
    one.go("tasks")
    for name in ("fail-0", "later", "echoed"):
        one.page.fill("#filter-tasks", name)
        one.sees(name, ".scroller")
    for place, words in {
            "tasks/me/page-1": ["ink_low", "Try 2", "wasted", '"pages": 1'], "tasks/me/fail-1": ["Attempts", "printer_jam", "Try 1", "Input"],
            "tasks/me/later": ["Why it waits", "its delay is not over", "Next known moment"],
            "schedules": ["tick", "every 10 s", "Preview of an expression"], "schedules/nightly": ["Next five", "Local (UTC)", "From now", "30 2 * * *"],
            "executors": ["demo", "Verdict", "printer"], "executors/demo": ["demo.echo", "Slots used"], "executors/press": ["EXECUTOR_REGISTERED", "agent:it's"], "capabilities": ["demo.sleep", "Waiting / free"],
            "capabilities/demo.echo": ["could take it"], "circuits": ["demo.fail / demo", "this pair"],
            "circuits/demo.fail/demo": ["5 in a row", "History since", "Failures in a row", "CIRCUIT_OPENED", "probe"], "checks": ["disk", "jam", "heartbeat.check.jam"], "checks/disk": ["Last runs", "Next five"],
            "history": ["History", "Statistics by capability", "100.0 %"]}.items():
        one.go(place)
        for word in words:
            one.sees(word)
    one.go("messages")
    one.page.fill("#filter-messages", "demo/card")
    one.sees("main/martlet1/executor/demo/card", ".scroller")
    assert one.faults == []


def test_cost_by_everything_it_can_be_split_by(desk, fleet):
    one = desk()
    one.go("cost")
    for name, words in {
            "Capability": ["print.page", "0.002", "0.0005", "0.0015", "0.0025"], "Executor": ["press", "0.0015"], "Executor type": ["printer"], "Kind": ["skill"], "Principal": ["me"],
            "Day": [time.strftime("%Y-%m-%d", time.gmtime())]}.items():
        one.page.get_by_role("button", name=name, exact=True).click()
        one.sees(f"Cost by {name.lower()}")
        for word in words:
            one.sees(word)
        one.page.wait_for_selector("svg.share rect.first")
    assert one.page.locator("svg.chart rect").count() == 2
    one.sees("Budget 1, per 1 d", seconds=25)
    one.sees("0.0025/0.01")
    one.looks_right("cost by day")


def test_history_is_asked_by_fields_and_page_by_page(desk, fleet):
    one = desk()
    one.go("history")
    one.page.fill("#filter-history", "capability=print.page")
    one.sees("page-1", ".scroller")
    await_that(lambda: one.page.locator(".scroller tbody tr[role=row]").count() == 1, "only one result")
    one.page.fill("#filter-history", "")
    one.page.locator("select").nth(1).select_option("event")
    await_that(lambda: "100+" in one.text("main h1"), "a page of events")
    one.page.get_by_role("button", name="Older").click()
    await_that(lambda: "100+" not in one.text("main h1"), "a second page")


def test_a_filter_and_a_chip_narrow_the_tasks(desk, fleet, sleeper):
    one = desk()
    one.go("tasks")
    one.page.wait_for_selector(".scroller [data-row]")
    one.page.keyboard.press("/")
    one.page.keyboard.type("fail-3")
    await_that(lambda: one.page.locator(".scroller tbody tr[role=row]").count() == 1, "only fail-3")
    one.sees("fail-3", ".scroller")
    one.page.fill("#filter-tasks", "me")
    one.page.get_by_role("button", name="Running").click()
    one.sees(sleeper, ".scroller")
    await_that(lambda: "fail-3" not in one.text(), "only what runs")


def test_the_keyboard_alone_is_enough(desk, fleet):
    one = desk()
    page = one.page
    for key in "gt":
        page.keyboard.press(key)
    page.wait_for_selector(".scroller [data-row]")
    page.keyboard.press("/")
    page.keyboard.type("fail-")
    one.sees("fail-5", ".scroller")
    page.keyboard.press("Escape")
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


def test_at_200_percent_everything_is_there(desk, fleet):
    one = desk(width=640, height=400, device_scale_factor=2)
    for place in [*VIEWS, *DETAILS]:
        one.go(place)
        one.page.wait_for_selector("main h1:visible")
        one.page.wait_for_timeout(300)
        one.looks_right(place)


@pytest.mark.parametrize("wish, moving", [("reduce", 0), ("no-preference", 1)])
def test_nothing_moves_for_those_who_wish_so(desk, sleeper, wish, moving):
    one = desk(reduced_motion=wish)
    one.go(f"tasks/me/{sleeper}")
    one.page.wait_for_selector(".live")
    assert one.page.evaluate("document.getAnimations().length") == moving


def test_the_theme_follows_the_system_and_the_switch(desk, fleet):
    one = desk(scheme="dark")
    ground = lambda: one.page.evaluate("getComputedStyle(document.body).backgroundColor")
    system = ground()
    one.page.click("#theme")
    assert ground() == system and "dark" in one.page.get_attribute("#theme", "aria-label")
    one.page.click("#theme")
    assert ground() != system
    one.page.reload()
    assert ground() != system, "the choice is kept"


def test_a_hidden_page_neither_asks_nor_paints(desk, fleet):
    one = desk()
    one.go("tasks")
    one.page.wait_for_selector(".scroller [data-row]")
    one.page.evaluate("""() => {
        Object.defineProperty(document, "hidden", {get: () => window.isHidden, configurable: true});
        window.hide = is => { window.isHidden = is; document.dispatchEvent(new Event("visibilitychange")); };
        window.asked = 0;
        const command = M.client.command;
        M.client.command = function (...words) { window.asked++; return command.apply(this, words); };
        hide(true);
    }""")
    one.page.wait_for_timeout(600)
    before = one.page.evaluate("[M.paints, asked]")
    fleet.martlet("run", "demo.echo", "{}", "--id", "unseen")
    one.page.wait_for_timeout(3000)
    assert one.page.evaluate("[M.paints, asked]") == before
    one.page.evaluate("hide(false)")
    one.page.fill("#filter-tasks", "unseen")
    one.sees("unseen", ".scroller", seconds=40)


def test_the_status_region_speaks_seldom_and_can_be_silenced(desk, fleet):
    one = desk()
    one.page.evaluate("""() => {
        window.heard = [];
        new MutationObserver(() => heard.push([performance.now(), document.getElementById("status").textContent])).observe(document.getElementById("status"), {subtree: true, childList: true, characterData: true});
        for (let n = 0; n < 40; n++) setTimeout(() => M.say("word " + n, true), n * 200);
    }""")
    await_that(lambda: "word 39" in one.page.inner_text("#status"), "the last words")
    spoken = one.page.evaluate("heard")
    assert 2 <= len(spoken) <= 3 and all(later[0] - earlier[0] > 4500 for earlier, later in zip(spoken, spoken[1:])), spoken
    one.page.click("#help")
    one.page.click("#speech")
    assert one.page.get_attribute("#speech", "aria-pressed") == "false"
    one.page.evaluate("M.say('unwanted', true)")
    one.page.wait_for_timeout(6000)
    assert one.page.inner_text("#status") == ""


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


def test_the_copied_command_sends_the_same_message(desk, fleet):
    """Quotes and lines in the payload survive the shell."""
    topic, body = f"{BASE}/executor/press/card", json.dumps({"boot": "b1", "rev": 2, "type": "it's \"new\" $HOME `date` \\", "modes": ["pull"], "slots": 1, "capabilities": [
        {"name": "print.page", "cost": {"fixed": 1500}}]}, indent=1)
    fleet.publish("press", topic, body)
    one = desk()
    one.go("messages")
    one.page.fill("#topic-filter", topic)
    one.page.get_by_role("button", name="Subscribe").click()
    one.page.locator(".scroller [data-row]").first.click()
    one.page.click("[data-act=copy-pub]")
    command = await_that(lambda: one.page.evaluate("navigator.clipboard.readText()"), "the clipboard")
    fleet.publish("press", topic, None)
    account = " ".join(fleet.client("press")[:-2])
    subprocess.run(["sh", "-c", f"{command} {account}"], check=True, timeout=20)
    heard = subprocess.run(["mosquitto_sub", *fleet.client("me"), "-t", topic, "-C", "1", "-W", "10"], capture_output=True, text=True, timeout=20).stdout
    assert heard == body + "\n"

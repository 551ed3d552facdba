"""A stack for the dashboard's tests: broker, services, a demo executor, and a browser."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ["MARTLET_PROGRAMS"])
BASE = "main/martlet1"
VIEWS = ["overview", "tasks", "schedules", "executors", "capabilities", "circuits", "checks", "cost", "history", "messages"]


def await_that(condition, what, seconds=20):
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not in {seconds} s: {what}")


class Stack:
    """`martlet up` in a folder of its own, which also serves the dashboard."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="martlet-dashboard."))
        self.environment = {
            "HOME": str(self.folder), "PATH": f"{PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb", "TZ": "UTC"}
        self.log = open(self.folder / "up.log", "wb")
        self.process = subprocess.Popen(
            [PROGRAMS / "martlet", "up", "--dir", self.folder / "up"], env=self.environment, stdout=self.log,
            stderr=subprocess.STDOUT, cwd=TOP)
        text = lambda: (self.folder / "up.log").read_text()
        await_that(lambda: "Ctrl-C stops" in text() or self.process.poll() is not None, "martlet up is ready", 60)
        assert "dashboard " in text(), text()
        self.page = text().split("dashboard")[1].split()[0]
        self.broker = self.folder / "up/broker"
        self.port = (self.broker / "port").read_text().strip()
        for name, role in (("shop", "publisher"), ("press", "executor")):
            self.account(name, role)

    def account(self, name, role):
        self.martlet("broker", "account", "add", name, "--role", role, "--dir", self.broker, "--password-file", self.secret(name))

    def configure(self, **sections):
        """Writes the services' configuration and has them read it; gives back what stood there."""
        file = self.folder / "up/martlet.json"
        before = json.loads(file.read_text().split("\n", 1)[1])
        file.write_text("//\n" + json.dumps({**before, **sections}))
        for name in sections:
            subprocess.run(["kill", "-HUP", self.process_of(name)], check=True)
        return {name: before[name] for name in sections}

    def secret(self, name):
        """The file with an account's password; made where there is none."""
        file = self.broker / "secrets" / name
        if not file.exists():
            file.write_text(f"{name}-word\n")
            file.chmod(0o600)
        return file

    def password(self, name):
        return self.secret(name).read_text().strip()

    def martlet(self, *words, check=True):
        done = subprocess.run([PROGRAMS / "martlet", *words], env=self.environment, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def client(self, name):
        return ["-h", "127.0.0.1", "-p", self.port, "-u", name, "-P", self.password(name), "-q", "1"]

    def publish(self, name, topic, value, retain=True):
        """Plays a message of a service's account."""
        words = ["mosquitto_pub", *self.client(name), "-t", topic, *(["-r"] if retain else [])]
        words += ["-n"] if value is None else ["-m", value if isinstance(value, str) else json.dumps(value)]
        subprocess.run(words, check=True, timeout=20)

    def work(self, task, *outcomes):
        """Plays the pull executor `press`, which costs: one outcome for each attempt of a task."""
        for outcome in outcomes:
            def granted():
                done = subprocess.run(
                    ["mosquitto_rr", *self.client("press"), "-t", f"{BASE}/claim/press/s1", "-e", f"{BASE}/grant/press/s1", "-m", "{}", "-W", "10"],
                    capture_output=True, text=True, timeout=20)
                grant = json.loads(done.stdout or "{}")
                return grant if grant.get("task") == task else None
            grant = await_that(granted, f"a grant of {task}")
            self.publish("press", f"{BASE}/report/press/{task}", {"epoch": grant["epoch"], "type": "outcome", **outcome}, retain=False)

    def process_of(self, name):
        """The process id of a program that `martlet up` started."""
        lines = (self.folder / "up/processes").read_text().splitlines()
        return next(line.split()[0] for line in lines if line.split()[2] == name)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def violations(page):
    """What axe finds, its rule on the size of targets included."""
    found = Axe().run(page, options={"rules": {"target-size": {"enabled": True}}}).response["violations"]
    return [(one["id"], one["help"], [node["html"][:160] + " " + node["failureSummary"][:300] for node in one["nodes"][:3]]) for one in found]


@pytest.fixture(scope="session")
def stack():
    one = Stack()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def fleet(stack):
    """State of every kind, made by the running services."""
    run = stack.martlet
    stack.configure(dispatcher={"task_events": True, "budgets": [{"workspace": "main", "period_ms": 86400000, "amount": 10000}]})
    stack.publish("press", f"{BASE}/executor/press/card", {
        "boot": "b1", "rev": 1, "type": "printer", "version": "7", "modes": ["pull"], "slots": 1, "labels": ["agent:it's"],
        "capabilities": [{"name": "print.page", "cost": {"fixed": 1500}}]})
    stack.publish("press", f"{BASE}/executor/press/status", {"status": "online", "boot": "b1"})
    run("publish", "print.page", "{}", "--id", "page-1")
    stack.work("page-1", {"status": "failed", "cost": 500, "error": {"code": "ink_low", "class": "transient"}}, {"status": "success", "cost": 2000, "output": {"pages": 1}})
    for n in range(6):
        run("run", "demo.fail", json.dumps({"code": "printer_jam"}), "--id", f"fail-{n}", "--retry", "0", "--timeout", "5s", check=False)
    run("publish", "demo.echo", "{}", "--id", "later", "--delay", "1h")
    run("run", "demo.echo", '{"a":1}', "--id", "echoed")
    run("schedule", "put", "tick", "--every", "10s", "--capability", "demo.echo")
    run("schedule", "put", "nightly", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--capability", "demo.echo")
    run("check", "put", "disk", "--every", "10s", "--capability", "demo.echo", "--agent", "demo")
    run("check", "put", "jam", "--every", "10s", "--capability", "demo.fail", "--agent", "demo")
    return stack


@pytest.fixture
def sleeper(fleet):
    """A task that runs, as long as a test may take."""
    name = f"sleeper-{time.monotonic_ns()}"
    fleet.martlet("publish", "demo.sleep", '{"ms":250000}', "--id", name, "--timeout", "5m")
    yield name
    fleet.martlet("task", "cancel", name, "--yes", check=False)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield one
        one.close()


class Desk:
    """One page with somebody signed in; notes what it asks for and complains of."""

    def __init__(self, browser, stack, user, width=1360, height=850, scheme="dark", query="", address=None, **options):
        self.stack = stack
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options, permissions=["clipboard-read", "clipboard-write"])
        self.page = self.context.new_page()
        self.page.set_default_timeout(15000)
        self.requests, self.faults = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda one: self.requests.append(one.url))
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("dialog", lambda dialog: (self.faults.append("dialog " + dialog.message), dialog.dismiss()))
        self.page.goto((address or stack.page) + query)
        self.page.fill("input[name=user]", user)
        self.page.fill("input[name=password]", stack.password(user))
        self.page.click("button[type=submit]")
        self.page.wait_for_selector("#conn.tone-good")

    def go(self, place):
        self.page.evaluate("place => { location.hash = '#/' + place; }", place)
        self.page.wait_for_timeout(50)

    def looks_right(self, place):
        """Nothing is wrong for those who do not see, have no mouse, or have little room."""
        found = violations(self.page)
        assert not found, f"{place}: {found}"
        wide = self.page.evaluate("""() => [document.documentElement, ...document.querySelectorAll('main table.plain, main .actions, main .tiles, main .facts')]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.sideways')).map(one => one.localName + ' ' + one.className)""")
        assert wide == [] and self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{place} is wider than the page: {wide}"
        assert "cannot be shown" not in self.text(), self.text()

    def text(self, selector="main"):
        return self.page.inner_text(selector)

    def sees(self, words, selector="main", seconds=15):
        try:
            await_that(lambda: self.page.locator(selector).count() and words in self.text(selector), words, seconds)
        except AssertionError:
            raise AssertionError(f"no {words!r} in:\n{self.text('body')}") from None

    def act(self, action, confirm=True, fields=None, index=0):
        """Presses an action's button, confirms, and gives the reply that is shown."""
        before = self.page.locator(".reply").count()
        self.page.locator(f"[data-act='{action}']").nth(index).click()
        if self.page.locator("dialog[open]").count():
            for name, value in (fields or {}).items():
                field = self.page.locator(f"#field-{name}")
                if field.evaluate("one => one.localName") == "select":
                    field.select_option(value)
                elif field.get_attribute("type") == "checkbox":
                    field.check()
                else:
                    field.fill(value)
            self.page.click("[data-confirm]")
        elif confirm:
            self.page.click("#yes")
        self.page.wait_for_selector(".reply")
        shown = self.page.locator(".reply").first.inner_text()
        self.page.locator(".reply button[aria-label=Dismiss]").first.click()
        return shown

    def close(self):
        self.context.close()


@pytest.fixture
def desk(browser, stack, request):
    made = []

    def make(user="me", **options):
        made.append(Desk(browser, stack, user, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()

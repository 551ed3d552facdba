"""The MQTT codec and client of the page, in the browser that runs them."""

import pytest

ENCODED = [
    # 3.1.1 and 5, by hand from the standards
    ("M.codec.ping()", "c000"),
    ("M.codec.puback(258)", "40020102"),
    ("M.codec.connect({version: 4, clientId: 'a', user: 'u', password: 'p', keepAlive: 30})", "101300044d51545404c2001e000161000175000170"),
    ("M.codec.connect({version: 5, clientId: 'a', keepAlive: 30})", "101300044d5154540502001e051100000000000161"),
    ("M.codec.publish({topic: 't', payload: 'x', qos: 1, id: 7}, 4)", "32060001740007" + "78"),
    ("M.codec.publish({topic: 't', payload: '', qos: 0, retain: true}, 5)", "3104000174" + "00"),
    ("M.codec.publish({topic: 't', payload: 'x', qos: 1, id: 7, again: true, properties: {responseTopic: 'r', correlation: new Uint8Array([1])}}, 5)",
     "3a0f" + "0001740007" + "08" + "08000172" + "09000101" + "78"),
    ("M.codec.subscribe(1, ['a/#'], 1, 4)", "820800010003612f2301"),
    ("M.codec.subscribe(1, ['a/#'], 1, 5, true)", "82090001000003612f2309"),
    ("M.codec.unsubscribe(2, ['a'], 5)", "a20600020000" + "0161"),
]
DECODED = [
    (4, "20020000", [{"type": "connack", "present": False, "code": 0, "properties": {}}]),
    (5, "20060000032101f4", [{"type": "connack", "present": False, "code": 0, "properties": {"receiveMaximum": 500}}]),
    (4, "4002000a", [{"type": "puback", "id": 10, "code": 0, "properties": {}}]),
    (5, "4003000a87", [{"type": "puback", "id": 10, "code": 135, "properties": {}}]),
    (4, "9003000180", [{"type": "suback", "id": 1, "codes": [128]}]),
    (5, "900400010001", [{"type": "suback", "id": 1, "codes": [1]}]),
    (4, "d000d000", [{"type": "pong"}, {"type": "pong"}]),
    (5, "e0028b00", [{"type": "disconnect", "code": 139}]),
]
BROKEN = ["0000", "36050001740001", "30ffffffff7f", "3003000500", "3005000174ff00", "3003000180"]


@pytest.fixture(scope="module")
def page(browser, stack):
    page = browser.new_page()
    page.goto(stack.page)
    page.evaluate("""() => {
        const hex = bytes => [...bytes].map(one => one.toString(16).padStart(2, "0")).join("");
        const bytes = text => new Uint8Array((text.match(/../g) || []).map(two => parseInt(two, 16)));
        window.test = {hex, bytes};
    }""")
    yield page
    page.close()


@pytest.mark.parametrize("call, wanted", ENCODED)
def test_packets_are_written_as_the_standard_says(page, call, wanted):
    assert page.evaluate(f"test.hex({call})") == wanted


@pytest.mark.parametrize("version, packets, wanted", DECODED)
def test_packets_are_read_whole_and_byte_by_byte(page, version, packets, wanted):
    clean = lambda found: [{k: {p: v for p, v in w.items() if v is not None} if k == "properties" else w for k, w in one.items()} for one in found]
    assert clean(page.evaluate(f"new M.codec.Decoder({version}).push(test.bytes('{packets}'))")) == wanted
    script = f"(() => {{ const d = new M.codec.Decoder({version}); return [...test.bytes('{packets}')].flatMap(one => d.push(Uint8Array.of(one))); }})()"
    assert clean(page.evaluate(script)) == wanted


@pytest.mark.parametrize("packet", BROKEN)
def test_what_is_no_packet_is_refused(page, packet):
    script = f"(() => {{ try {{ new M.codec.Decoder(5).push(test.bytes('{packet}')); return 'read'; }} catch (fault) {{ return fault instanceof M.codec.CodecError ? 'refused' : String(fault); }} }})()"
    assert page.evaluate(script) == "refused"


def test_random_publishes_come_back_as_they_went(page):
    assert page.evaluate("""() => {
        let seed = 7;
        const random = below => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
        for (let n = 0; n < 2000; n++) {
            const version = random(2) ? 5 : 4, qos = random(2), payload = Uint8Array.from({length: random(n % 10 ? 200 : 40000)}, () => random(256));
            const sent = {topic: "a/" + String.fromCodePoint(97 + random(26), 233, 0x1f600), payload, qos, retain: !!random(2), id: 1 + random(65535), properties: version === 5 && random(2) ? {responseTopic: "r/x", correlation: Uint8Array.of(1, 2)} : undefined};
            const bytes = M.codec.publish(sent, version), cut = random(bytes.length), decoder = new M.codec.Decoder(version);
            const [got] = [...decoder.push(bytes.slice(0, cut)), ...decoder.push(bytes.slice(cut))];
            if (!got || got.topic !== sent.topic || got.qos !== qos || got.retain !== sent.retain || qos && got.id !== sent.id || test.hex(got.payload) !== test.hex(payload)) return n;
            if (sent.properties && got.properties.responseTopic !== "r/x") return n;
        }
        return "all";
    }""") == "all"


@pytest.mark.parametrize("version", [4, 5])
def test_the_client_speaks_with_the_broker(page, stack, version):
    """QoS 1 both ways, a retained message, a command with its reply, and a publish that the rights forbid."""
    found = page.evaluate("""async ({version, user, password}) => {
        const seen = [], client = await new Promise((resolve, reject) => {
            const one = new M.Client({url: `ws://${location.host}/mqtt`, user, password, version, onMessage: packet => seen.push(packet), onState: state => state === "online" && resolve(one)});
            one.subscribe(`main/martlet1/reply/${user}/#`, `main/martlet1/result/${user}/#`, "main/martlet1/executor/+/card");
            one.open();
            setTimeout(() => reject(new Error("not online")), 8000);
        });
        const listed = await client.command("executor", "list", "x1");
        const many = await Promise.all(Array.from({length: 300}, (_, n) => client.publish(`main/martlet1/intent/${user}/demo.echo/q${version}-${n}`, `{"input":${n}}`)));
        const forbidden = await client.publish("main/martlet1/work/a/b", "{}");
        const until = Date.now() + 15000;
        const results = () => new Set(seen.filter(one => one.topic.includes(`/result/${user}/demo.echo/q${version}-`)).map(one => one.topic)).size;
        while (results() < 300 && Date.now() < until) await new Promise(resolve => setTimeout(resolve, 50));
        client.close();
        return {outcome: listed.outcome, items: listed.reply.data.items.length, codes: [...new Set(many)], forbidden, results: results(), card: seen.some(one => one.retain && one.topic.endsWith("demo/card"))};
    }""", {"version": version, "user": "me", "password": stack.password("me")})
    assert found == {"outcome": "ok", "items": 1, "codes": [0], "forbidden": 135 if version == 5 else 0, "results": 300, "card": True}

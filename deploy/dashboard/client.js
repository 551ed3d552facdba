// One connection to the broker over a WebSocket: QoS 1 both ways, requests with replies, connects again by itself.
"use strict";
const KEEP_ALIVE_S=30,PING_AFTER_MS=15000,SILENCE_MS=10000,CONNECT_MS=10000;
const FIRST_WAIT_MS=500,LONGEST_WAIT_MS=15000,REPLY_MS=5000,MOST_WAITING=1000;
const UNSUPPORTED=0x84,NOT_AUTHORIZED=0x87,BAD_ACCOUNT=[0x86,NOT_AUTHORIZED,0x85];

const random=length=>{
	const letters="abcdefghijkmnpqrstuvwxyz23456789";
	return [...crypto.getRandomValues(new Uint8Array(length))].map(n=>letters[n%letters.length]).join("");
};

// states: connecting, online, waiting (for the next try), refused (account), closed
class Client {
	constructor({url,user,password,workspace="main",version=5,onState,onMessage,asPublished}){
		Object.assign(this,{url,user,password,workspace,version,onState,onMessage,asPublished});
		this.state="closed";
		this.filters=new Set();
		this.pending=new Map(); // packet id → what waits for its acknowledgement
		this.queue=[]; // publishes that wait for a connection or for room
		this.replies=new Map(); // topic → request
		this.session=random(8);
		this.requests=0;
		this.tries=0;
		this.lastHeard=0;
		this.window=100;
		this.ids=0;
		this.wake=()=>{if (this.state==="waiting") this.open();};
		globalThis.addEventListener?.("online",this.wake);
	}
	get base() {return this.workspace+"/martlet1/";}

	open() {
		clearTimeout(this.timer);
		this.drop();
		this.set("connecting");
		let socket;
		try {socket=new WebSocket(this.url,"mqtt");} catch {return this.refuse("address");}
		this.socket=socket;
		socket.binaryType="arraybuffer";
		this.decoder=new M.codec.Decoder(this.version);
		this.greeted=false;
		this.opened=false;
		this.timer=setTimeout(()=>this.lost("no_answer"),CONNECT_MS);
		const mine=handler=>event=>{if (this.socket===socket) handler(event);};
		socket.onopen=mine(()=>{
			this.opened=true;
			this.write(M.codec.connect({
				version:this.version,clientId:"dashboard-"+random(12),user:this.user||undefined,
				password:this.user?this.password:undefined,keepAlive:KEEP_ALIVE_S,
			}));
		});
		socket.onmessage=mine(event=>this.read(new Uint8Array(event.data)));
		socket.onclose=mine(()=>{
			// A broker that knows 3.1.1 only may close without a word.
			if (this.opened&&!this.greeted&&this.version===5&&!this.wasOnline){
				this.version=4;
				return this.open();
			}
			this.lost("closed");
		});
	}
	close() {
		clearTimeout(this.timer);
		globalThis.removeEventListener?.("online",this.wake);
		if (this.state==="online") this.write(M.codec.disconnect());
		this.drop();
		for (const request of this.replies.values()) request.end({outcome:"unknown"});
		this.replies.clear();
		this.queue=[];
		this.set("closed");
	}
	drop() {
		clearInterval(this.pulse);
		const socket=this.socket;
		this.socket=null;
		if (socket){try {socket.close();} catch {/* is closed already */}}
	}
	set(state,why){this.state=state;this.why=why;this.onState?.(state,why);}
	refuse(why){clearTimeout(this.timer);this.drop();this.set("refused",why);}
	lost(why) {
		clearTimeout(this.timer);
		this.drop();
		// What was sent and not acknowledged goes out again in its order.
		const unsure=[...this.pending.values()].filter(entry=>entry.publish).map(entry=>entry.publish);
		this.queue=[...unsure,...this.queue];
		this.pending.clear();
		const bound=Math.min(LONGEST_WAIT_MS,FIRST_WAIT_MS*2**Math.min(this.tries++,10));
		const wait=Math.round(bound / 2+Math.random()*bound / 2);
		this.nextTry=Date.now()+wait;
		this.timer=setTimeout(()=>this.open(),wait);
		this.set("waiting",why);
	}
	write(bytes) {
		if (this.socket?.readyState===1){this.socket.send(bytes);this.lastSent=Date.now();}
	}
	read(bytes) {
		this.lastHeard=Date.now();
		let packets;
		try {packets=this.decoder.push(bytes);} catch {return this.lost("protocol");}
		for (const packet of packets){if (this.socket) this.take(packet);}
	}
	take(packet) {
		switch (packet.type) {
		case "connack":return this.greet(packet);
		case "publish":
			this.deliver(packet);
			if (packet.qos===1) this.write(M.codec.puback(packet.id));
			return;
		case "puback":case "suback":case "unsuback":{
			const entry=this.pending.get(packet.id);
			this.pending.delete(packet.id);
			entry?.end?.(packet.code??packet.codes);
			return this.flush();
		}
		case "disconnect":return this.lost("closed");
		}
	}
	greet({code,properties}) {
		clearTimeout(this.timer);
		this.greeted=true;
		if (code===UNSUPPORTED||this.version===5&&code===1){this.version=4;return this.open();}
		if (BAD_ACCOUNT.includes(code)||this.version===4&&(code===4||code===5)) return this.refuse("account");
		if (code !==0) return this.lost("broker");
		this.tries=0;
		this.wasOnline=true;
		this.window=Math.min(100,properties.receiveMaximum||100);
		if (this.filters.size) this.send("subscribe",[...this.filters]);
		this.pulse=setInterval(()=>this.beat(),1000);
		this.set("online");
		this.flush();
	}
	beat() {
		const silent=Date.now() - this.lastHeard;
		if (silent>PING_AFTER_MS+SILENCE_MS) return this.lost("silent");
		if (silent>PING_AFTER_MS||Date.now() - this.lastSent>PING_AFTER_MS) this.write(M.codec.ping());
	}
	nextId() {
		do {this.ids=this.ids%65535+1;} while (this.pending.has(this.ids));
		return this.ids;
	}
	send(kind,filters,end) {
		for (let at=0;at<filters.length;at+=50) {
			const id=this.nextId(),some=filters.slice(at,at+50);
			this.pending.set(id,{end});
			this.write(kind==="subscribe"?M.codec.subscribe(id,some,1,this.version,this.asPublished)
				:M.codec.unsubscribe(id,some,this.version));
		}
	}
	subscribe(...filters) {
		const fresh=filters.filter(filter=>!this.filters.has(filter));
		fresh.forEach(filter=>this.filters.add(filter));
		if (this.state==="online"&&fresh.length) this.send("subscribe",fresh);
	}
	unsubscribe(...filters) {
		const known=filters.filter(filter=>this.filters.delete(filter));
		if (this.state==="online"&&known.length) this.send("unsubscribe",known);
	}
	// QoS 1; the promise gives the reason code of the acknowledgement: 0x87 where the rights forbid it (MQTT 5).
	publish(topic,payload,properties) {
		return new Promise(resolve=>{
			if (this.queue.length>=MOST_WAITING||this.state==="closed"||this.state==="refused") return resolve(null);
			this.queue.push({topic,payload,properties,end:resolve});
			this.flush();
		});
	}
	flush() {
		while (this.state==="online"&&this.queue.length&&this.pending.size<this.window){
			const publish=this.queue.shift(),id=this.nextId();
			this.pending.set(id,{publish,end:publish.end});
			this.write(M.codec.publish({...publish,qos:1,id},this.version));
		}
	}
	// A command and its one reply: {outcome: ok | refused | forbidden | unknown, reply}.
	// MQTT 5 asks for the reply on a topic of its own; 3.1.1 gets it on the usual one.
	command(noun,verb,id,payload={}) {
		const place=[noun,verb,id].join("/");
		const usual=this.base+"reply/"+this.user+"/"+place;
		const own=`${this.base}reply/${this.user}/${noun}/${this.session}/${++this.requests}`;
		return this.request(this.base+"command/"+this.user+"/"+place,payload,this.version===5?own:usual);
	}
	request(topic,payload,replyTopic) {
		const known=this.replies.get(replyTopic);
		if (known) return known.promise;
		const request={};
		request.promise=new Promise(resolve=>{
			request.end=answer=>{
				clearTimeout(request.timer);
				if (this.replies.get(replyTopic)===request) this.replies.delete(replyTopic);
				resolve(answer);
			};
		});
		this.replies.set(replyTopic,request);
		request.timer=setTimeout(()=>request.end({outcome:"unknown"}),REPLY_MS);
		const properties=this.version===5
			?{responseTopic:replyTopic,correlation:M.codec.bytes(String(this.requests))}:undefined;
		this.publish(topic,JSON.stringify(payload),properties).then(code=>{
			if (code===NOT_AUTHORIZED) request.end({outcome:"forbidden"});
		});
		return request.promise;
	}
	deliver(packet) {
		const request=this.replies.get(packet.topic);
		if (request) {
			try {
				const reply=JSON.parse(decoder.decode(packet.payload));
				request.end({outcome:reply&&reply.ok===true?"ok":"refused",reply});
			} catch {request.end({outcome:"refused",reply:{code:"invalid_json"}});}
		}
		this.onMessage?.(packet);
	}
}
M.Client=Client;
M.random=random;

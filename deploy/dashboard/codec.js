// MQTT packets, versions 3.1.1 and 5: bytes out, bytes in. Nothing here knows of sockets or of the page.
"use strict";
const M={};
const CONNECT=1,CONNACK=2,PUBLISH=3,PUBACK=4,SUBSCRIBE=8,SUBACK=9,UNSUBSCRIBE=10,UNSUBACK=11,
	PINGREQ=12,PINGRESP=13,DISCONNECT=14;
// How the value of each property is read (MQTT 5, section 2.2.2.2): bytes, v a variable integer, b bytes, t text, p a pair.
const PROPERTIES=Object.fromEntries("1:1 2:4 3:t 8:t 9:b 11:v 17:4 18:t 19:2 21:t 22:b 23:1 24:4 25:1 26:t 28:t 31:t 33:2 34:2 35:2 36:1 37:1 38:p 39:4 40:1 41:1 42:1".split(" ").map(one=>one.split(":")));
const SESSION_EXPIRY=17,RESPONSE_TOPIC=8,CORRELATION=9,RECEIVE_MAXIMUM=33;
const LONGEST=268435455; // of a packet's remaining length
const encoder=new TextEncoder();
const strictDecoder=new TextDecoder("utf-8",{fatal:true}),decoder=new TextDecoder();

class CodecError extends Error {}

class Writer {
	constructor() {this.chunks=[];this.length=0;}
	bytes(bytes){this.chunks.push(bytes);this.length+=bytes.length;return this;}
	byte(value) {return this.bytes(Uint8Array.of(value));}
	two(value){return this.bytes(Uint8Array.of(value>>8&255,value&255));}
	four(value){return this.bytes(Uint8Array.of(value>>>24,value>>16&255,value>>8&255,value&255));}
	variable(value) {
		if (value>LONGEST||value<0) throw new CodecError("length out of range");
		do {
			const low=value%128;
			value=Math.floor(value / 128);
			this.byte(value>0?low|128:low);
		} while (value>0);
		return this;
	}
	binary(bytes) {
		if (bytes.length>65535) throw new CodecError("field longer than 65535 bytes");
		return this.two(bytes.length).bytes(bytes);
	}
	text(text) {return this.binary(encoder.encode(text));}
	properties({responseTopic,correlation,sessionExpiry}={}){
		const inner=new Writer();
		if (sessionExpiry!==undefined) inner.byte(SESSION_EXPIRY).four(sessionExpiry);
		if (responseTopic!==undefined) inner.byte(RESPONSE_TOPIC).text(responseTopic);
		if (correlation!==undefined) inner.byte(CORRELATION).binary(correlation);
		return this.variable(inner.length).bytes(inner.joined());
	}
	joined() {
		const all=new Uint8Array(this.length);
		let at=0;
		for (const chunk of this.chunks){all.set(chunk,at);at+=chunk.length;}
		return all;
	}
	packet(type,flags) {
		return new Writer().byte(type<<4|flags).variable(this.length).bytes(this.joined()).joined();
	}
}

class Reader {
	constructor(bytes) {this.all=bytes;this.at=0;}
	get left() {return this.all.length - this.at;}
	bytes(count) {
		if (count>this.left) throw new CodecError("packet ends too early");
		return this.all.subarray(this.at,this.at+=count);
	}
	byte() {return this.bytes(1)[0];}
	two() {const b=this.bytes(2);return b[0]<<8|b[1];}
	four(){const b=this.bytes(4);return ((b[0]<<24|b[1]<<16|b[2]<<8|b[3])>>>0);}
	variable() {
		let value=0;
		for (let factor=1,n=0;n<4;n++,factor*=128) {
			const byte=this.byte();
			value+=(byte&127)*factor;
			if (byte<128) return value;
		}
		throw new CodecError("length of more than four bytes");
	}
	binary() {return this.bytes(this.two()).slice();}
	text() {
		try {return strictDecoder.decode(this.bytes(this.two()));} catch (fault){
			throw fault instanceof CodecError?fault:new CodecError("text is not UTF-8");
		}
	}
	properties() {
		const end=this.variable()+this.at,values={};
		while (this.at<end) {
			const id=this.variable(),kind=PROPERTIES[id];
			if (!kind) throw new CodecError("unknown property");
			values[id]=kind==="1"?this.byte():kind==="2"?this.two():kind==="4"?this.four():kind==="v"?this.variable():kind==="b"?this.binary():kind==="t"?this.text():[this.text(),this.text()];
		}
		if (this.at!==end) throw new CodecError("properties end elsewhere");
		return {responseTopic:values[RESPONSE_TOPIC],correlation:values[CORRELATION],receiveMaximum:values[RECEIVE_MAXIMUM]};
	}
}
const isFive=version=>version===5;

const codec={
	CodecError,
	bytes:payload=>typeof payload==="string"?encoder.encode(payload):payload||new Uint8Array(0),

	connect({version,clientId,user,password,keepAlive}) {
		const out=new Writer().text("MQTT").byte(isFive(version)?5:4);
		out.byte((user===undefined?0:128)|(password===undefined?0:64)|2).two(keepAlive);
		if (isFive(version)) out.properties({sessionExpiry:0});
		out.text(clientId);
		if (user !==undefined) out.text(user);
		if (password !==undefined) out.text(password);
		return out.packet(CONNECT,0);
	},
	publish({topic,payload,qos=0,retain=false,again=false,id,properties},version){
		const out=new Writer().text(topic);
		if (qos>0) out.two(id);
		if (isFive(version)) out.properties(properties);
		out.bytes(codec.bytes(payload));
		return out.packet(PUBLISH,(again?8:0)|qos<<1|(retain?1:0));
	},
	puback:id=>new Writer().two(id).packet(PUBACK,0),
	// asPublished: live messages show their retain flag too (MQTT 5); without it the flag tells what was kept from what is new.
	subscribe(id,filters,qos,version,asPublished) {
		const out=new Writer().two(id);
		if (isFive(version)) out.properties();
		for (const filter of filters) out.text(filter).byte(qos|(isFive(version)&&asPublished?8:0));
		return out.packet(SUBSCRIBE,2);
	},
	unsubscribe(id,filters,version) {
		const out=new Writer().two(id);
		if (isFive(version)) out.properties();
		for (const filter of filters) out.text(filter);
		return out.packet(UNSUBSCRIBE,2);
	},
	ping:()=>Uint8Array.of(PINGREQ<<4,0),
	disconnect:()=>Uint8Array.of(DISCONNECT<<4,0),

};

// Takes bytes as they come, gives packets as they are complete.
codec.Decoder=class {
	constructor(version,longest=1<<20){this.version=version;this.longest=longest;this.rest=new Uint8Array(0);}
	push(bytes) {
		if (this.rest.length) {
			const both=new Uint8Array(this.rest.length+bytes.length);
			both.set(this.rest);both.set(bytes,this.rest.length);
			bytes=both;
		}
		const packets=[];
		let at=0;
		for (;;) {
			let length=0,factor=1,head=at+1,done=false;
			while (head<bytes.length&&head - at<=4) {
				const byte=bytes[head++];
				length+=(byte&127)*factor;
				factor*=128;
				if (byte<128) {done=true;break;}
			}
			if (!done) {
				if (head - at>4) throw new CodecError("length of more than four bytes");
				break;
			}
			if (length>this.longest) throw new CodecError("packet too long");
			if (head+length>bytes.length) break;
			packets.push(this.packet(bytes[at],bytes.subarray(head,head+length)));
			at=head+length;
		}
		this.rest=bytes.slice(at);
		return packets;
	}
	packet(first,body) {
		const type=first>>4,flags=first&15,reader=new Reader(body),five=isFive(this.version);
		switch (type) {
		case CONNACK:{
			const present=(reader.byte()&1)===1,code=reader.byte();
			return {type:"connack",present,code,properties:five&&reader.left?reader.properties():{}};
		}
		case PUBLISH:{
			const qos=flags>>1&3;
			if (qos===3) throw new CodecError("QoS 3");
			const topic=reader.text(),id=qos?reader.two():0;
			const properties=five?reader.properties():{};
			return {
				type:"publish",topic,qos,id,retain:(flags&1)===1,again:(flags&8)===8,properties,
				payload:reader.bytes(reader.left).slice(),
			};
		}
		case PUBACK:{
			const id=reader.two(),code=reader.left?reader.byte():0;
			return {type:"puback",id,code,properties:reader.left?reader.properties():{}};
		}
		case SUBACK:case UNSUBACK:{
			const id=reader.two();
			if (five) reader.properties();
			return {type:type===SUBACK?"suback":"unsuback",id,codes:[...reader.bytes(reader.left)]};
		}
		case PINGRESP:return {type:"pong"};
		case DISCONNECT:return {type:"disconnect",code:reader.left?reader.byte():0};
		default:throw new CodecError("packet type "+type);
		}
	}
};
M.codec=codec;

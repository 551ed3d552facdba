// Times, numbers and untrusted values as people read them.
"use strict";

// What comes from the network may be of any type: these give the type that is asked for.
const L=value=>Array.isArray(value)?value:[];
const O=value=>value&&typeof value==="object"&&!Array.isArray(value)?value:{};
const N=(value,or=0)=>typeof value==="number"&&Number.isFinite(value)?value:or;
const S=(value,or="")=>typeof value==="string"?visible(value):typeof value==="number"?String(value):or;
// Control and direction marks, which could hide or reorder what stands there, are shown as their numbers.
const visible=text=>text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
	letter=>"\\u"+letter.charCodeAt(0).toString(16).padStart(4,"0"));
M.visible=visible;
const clip=(text,length)=>text.length>length?text.slice(0,length - 1)+"\u2026":text;
M.json=value=>{const text=JSON.stringify(value,null,2);return text===undefined?"":visible(text);};

M.now=()=>Date.now();

const DAY=86400000,UNITS=[["d",DAY],["h",3600000],["min",60000],["s",1000]];
const duration=ms=>{
	ms=Math.max(0,ms);
	if (ms<1000) return Math.round(ms)+" ms";
	if (ms<10000) return Math.floor(ms / 100) / 10+" s";
	for (let n=0;n<UNITS.length;n++) {
		const [name,size]=UNITS[n];
		if (ms<size) continue;
		const whole=Math.floor(ms / size),next=UNITS[n+1];
		const part=next&&whole<10?Math.floor(ms%size / next[1]):0;
		return part?`${whole} ${name} ${part} ${next[0]}`:`${whole} ${name}`;
	}
};
// Whole units alone, so that a table does not change at every paint.
M.coarse=ms=>{
	ms=Math.max(0,ms);
	for (const [name,size] of UNITS) if (ms>=size) return `${Math.floor(ms / size)} ${name}`;
	return "0 s";
};
const relative=time=>{
	const ms=typeof time==="number"?time:Date.parse(time);
	if (!ms) return "";
	const away=ms - M.now();
	if (Math.abs(away)<1000) return T.now;
	return away>0?T.inTime(M.coarse(away)):T.ago(M.coarse(-away));
};
const two=n=>String(n).padStart(2,"0");
const zone=()=>{try {return Intl.DateTimeFormat().resolvedOptions().timeZone||"local";} catch {return "local";}};
M.zone=zone();
const local=time=>{
	const d=new Date(time);
	return isNaN(d)?"":`${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
};
M.utc=time=>{const d=new Date(time);return isNaN(d)?"":d.toISOString().slice(0,19).replace("T"," ");};
M.clock=time=>{const d=new Date(time);return isNaN(d)?"":`${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;};

M.count=n=>String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g,"\u202f");
M.rate=n=>n>=100?M.count(n):n>=1?n.toFixed(1):n>0?n.toFixed(2):"0";
// Costs are millionths of one currency.
const money=millionths=>{
	const n=N(millionths);
	if (!n) return "0";
	const text=(n / 1e6).toFixed(6).replace(/0+$/,"").replace(/\.$/,"");
	return text.replace(/^(-?\d+)/,whole=>whole.replace(/\B(?=(\d{3})+$)/g,"\u202f"));
};
M.quote=text=>"'"+text.replace(/'/g,"'\\''")+"'";
M.percent=(part,whole)=>whole>0?`${(100 * part / whole).toFixed(part && part / whole < 0.1 ? 1 : 0)} %`:"0 %";

// What is known: the retained views, the tasks, the last events. Fed by messages, read by the views.
"use strict";
const EVENTS=500,TASKS=20000,SAMPLES=400,QUIET_MS=1500,PAGE=1000,MOST_PAGES=40;

const TASK_STATES={__proto__:null,
	TASK_ACCEPTED:"queued",TASK_ASSIGNED:"offered",TASK_STARTED:"running",TASK_RETRYING:"delayed",
	APPROVAL_REQUESTED:"awaiting_approval",
};
const ENDED=new Set(["success","failed","timeout","canceled","rejected"]);
const WAITING=new Set(["awaiting_approval","blocked","delayed","queued"]);
M.isEnded=state=>ENDED.has(state);
M.isWaiting=state=>WAITING.has(state);
// The retained views, in the order in which they are asked for.
M.VIEWS=["executor/+/+","capability/+","circuit/#","schedule/+","check/+","liveness/+","alert/+","notify/memory/+","summary/+/+"];

class Store {
	constructor() {
		this.changed=()=>{};
		this.empty();
	}
	empty() {
		for (const name of ["executors","capabilities","circuits","schedules","checks","alerts","notes","services",
			"metrics","summaries","samples","tasks","states"]) this[name]=new Map();
		this.events=[];
		this.rev={}; // class → how often it changed
		this.tasksLoaded=false;
		this.tasksFault=null;
		this.generation=0;
		this.illegal=0;
	}
	touch(name){this.rev[name]=(this.rev[name]||0)+1;this.changed(name);}

	// Retained views that are cleared while the link is down are not told: what has not come again is taken away.
	begin() {
		this.generation++;
		this.snapshotAt=Date.now();
		clearTimeout(this.sweeper);
		const sweep=()=>{
			if (Date.now() - this.snapshotAt<QUIET_MS){this.sweeper=setTimeout(sweep,QUIET_MS);return;}
			this.sweeper=null;
			for (const name of ["executors","capabilities","circuits","schedules","checks","alerts","notes","services","metrics","summaries"]){
				const before=this[name].size;
				for (const [key,entry] of this[name]) if (entry.generation!==this.generation) this[name].delete(key);
				if (this[name].size !==before) this.touch(name);
			}
		};
		this.sweeper=setTimeout(sweep,QUIET_MS);
	}
	stop() {clearTimeout(this.sweeper);this.sweeper=null;}

	take({topic,payload,retain},workspace) {
		const levels=topic.split("/");
		if (levels[1] !=="martlet1") return;
		if (retain) this.snapshotAt=Date.now();
		let value=null;
		if (payload.length) {
			try {value=JSON.parse(decoder.decode(payload));} catch {this.illegal++;return;}
		}
		if (levels[0]==="_sys") return this.system(levels,value,retain,workspace);
		if (levels[0] !==workspace) return;
		const [,,kind,first,second]=levels;
		switch (kind) {
		case "executor":return this.part("executors",first,second,value);
		case "liveness":return this.part("executors",first,"liveness",value);
		case "capability":return this.put("capabilities",first,value);
		case "circuit":{
			const key=second?first+"/"+second:first;
			if (value) this.circuitState(key,value);
			return this.put("circuits",key,value);
		}
		case "schedule":return this.put("schedules",first,value);
		case "check":return this.put("checks",first,value);
		case "alert":return this.put("alerts",first,value);
		case "summary":return this.put("summaries",first+"/"+second,value);
		case "notify":return this.put("notes",second,Array.isArray(value)?{list:value}:value);
		case "event":return value&&this.event(O(value));
		}
	}
	put(name,key,value) {
		if (value===null) this[name].delete(key);
		else if (typeof value==="object"){value.generation=this.generation;this[name].set(key,value);}
		this.touch(name);
	}
	part(name,key,part,value) {
		if (part!=="card"&&part!=="status"&&part!=="liveness") return;
		const entry=this[name].get(key)||{};
		if (value===null) delete entry[part];else entry[part]=O(value);
		entry.generation=this.generation;
		entry.heardAt=M.now();
		if (entry.card||entry.status||entry.liveness) this[name].set(key,entry);else this[name].delete(key);
		this.touch(name);
	}
	// Of a service's cells only the one that serves this workspace counts; its numbers come under its own name.
	system(levels,value,retain,workspace) {
		if (levels[2]==="service"){
			const cell=O(value).workspaces;
			if (Array.isArray(cell)&&!cell.includes(workspace)) return;
			this.put("services",levels[3]+"/"+levels[4],value);
		}
		if (levels[2] !=="metrics") return;
		const name=levels[3];
		if (levels[4]&&!this.services.has(name+"/"+levels[4])) return;
		this.put("metrics",name,value);
		if (!value) return;
		const all=this.samples.get(name)||[];
		if (!retain||!all.length) all.push({at:Date.now(),values:O(value)});
		if (all.length>SAMPLES) all.shift();
		this.samples.set(name,all);
	}
	circuitState(key,value) {
		const past=this.states.get(key)||[];
		const last=past[past.length - 1];
		if (!last||last.state!==value.state||last.since!==value.since){
			past.push({state:value.state,since:value.since,why:value.why,forced_by:value.forced_by});
			if (past.length>50) past.shift();
			this.states.set(key,past);
		}
	}
	event(event) {
		const data=O(event.data);
		if (event.event==="TASK_FINISHED"||event.event in TASK_STATES||event.event==="TASK_MODE_DECIDED") this.taskEvent(event,data);
		if (!String(event.event).startsWith("TASK_")||event.event==="TASK_STALE_RESULT"){
			this.events.push(event);
			if (this.events.length>EVENTS) this.events.shift();
			this.touch("events");
		}
	}
	// Between two lists the events tell what becomes of tasks.
	taskEvent(event,data) {
		if (!this.tasksLoaded) return;
		const key=data.principal+"/"+event.subject;
		let task=this.tasks.get(key);
		if (!task) {
			if (event.event!=="TASK_ACCEPTED"){this.gap=true;return;}
			task={task:event.subject,principal:data.principal,capability:data.capability,accepted_at:event.at,attempt:0,mode:"undecided"};
			this.tasks.set(key,task);
			if (this.tasks.size>TASKS) this.forget();
		}
		if (M.isEnded(task.state)&&event.event!=="TASK_FINISHED") return;
		task.state=event.event==="TASK_FINISHED"?data.status:TASK_STATES[event.event]||task.state;
		if (data.executor) task.executor=data.executor;
		if (data.attempt) task.attempt=data.attempt;
		if (data.mode) task.mode=data.mode;
		if (data.code) task.code=data.code;
		task.changed_at=event.at;
		this.touch("tasks");
	}
	forget() {
		for (const [key,task] of this.tasks) {
			if (this.tasks.size<=TASKS*0.9) return;
			if (M.isEnded(task.state)) this.tasks.delete(key);
		}
	}
	// Reads the whole list, page by page.
	async loadTasks(client) {
		if (this.loading) return;
		this.loading=true;
		const fresh=new Map(),began=Date.now();
		try {
			let after;
			for (let page=0;page<MOST_PAGES;page++) {
				const ask=()=>client.command("task","list","dashboard",{principal:"*",limit:PAGE,after});
				let answer=await ask();
				if (answer.outcome==="unknown") answer=await ask();
				if (answer.outcome!=="ok"){this.tasksFault=answer;return;}
				const data=O(answer.reply.data);
				for (const item of L(data.items)) {
					const task=O(item),key=task.principal+"/"+task.task;
					fresh.set(key,task);
				}
				after=typeof data.after==="string"?data.after:undefined;
				if (after===undefined) break;
				if (!this.tasksLoaded&&page===0){this.tasks=new Map(fresh);this.touch("tasks");}
			}
			// What an event told while the pages came is newer than the pages.
			for (const [key,task] of this.tasks) {
				const listed=fresh.get(key);
				if (Date.parse(task.changed_at)>began - 200&&(!listed||!M.isEnded(listed.state))) fresh.set(key,{...listed,...task});
			}
			this.tasks=fresh;
			this.tasksLoaded=true;
			this.tasksFault=null;
			this.gap=false;
		} finally {
			this.loading=false;
			this.loadTook=Date.now() - began;
			this.loadedAt=Date.now();
			this.touch("tasks");
		}
	}
}
M.Store=Store;

// Served from memory as long as what it was made from has not changed.
const memo=make=>{
	let key,value;
	return (...parts)=>{
		const now=parts.map(part=>typeof part==="object"?JSON.stringify(part):part).join("\u0001");
		if (now !==key) {key=now;value=make(...parts);}
		return value;
	};
};

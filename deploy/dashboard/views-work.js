// Overview, tasks, schedules.
"use strict";
const views={};

// ---- overview

const rates=(samples,name)=>{
	const values=[];
	for (let n=1;n<samples.length;n++) {
		const seconds=(samples[n].at - samples[n - 1].at) / 1000;
		if (seconds>0.5) values.push(Math.max(0,N(samples[n].values[name]) - N(samples[n - 1].values[name])) / seconds);
	}
	return values;
};
const tile=(label,value,note,{tone,place,mark}={})=>h(place?"a.tile":"div.tile",{class:tone?"tone-"+tone:null,href:place?"#/"+place:null},
	h("span.label",label),h("span.value",mark?icon(mark,tone):null,typeof value==="number"?M.count(value):value),note===undefined?null:h("span.note",note));
// The mark and tone of a number that is too high.
const flag=(is,tone,mark)=>is?{tone,mark}:{};

views.overview=()=>{
	const store=M.store,metrics=O(store.metrics.get("dispatcher")),has=store.metrics.has("dispatcher"),samples=store.samples.get("dispatcher")||[];
	let queued=0,running=0,misfires=0;
	for (const one of store.capabilities.values()){queued+=N(one.queued);running+=N(one.running);}
	for (const one of store.schedules.values()) misfires+=N(dig(one,"state.missed"));
	const fleet=M.executorRows(),alive=fleet.filter(one=>one.alive).length,broken=M.openCircuits();
	const alerts=M.alertRows(),grave=alerts.filter(one=>one.severity==="critical").length;
	const ended=rates(samples,"ended_total"),good=rates(samples,"succeeded_total"),bad=ended.map((value,n)=>Math.max(0,value - good[n]));
	const last=ended.at(-1),oldest=N(metrics.oldest_queued_ms);
	const grown=name=>samples.length?Math.max(0,N(samples.at(-1).values[name]) - N(samples[0].values[name])):0;
	const endedIn=grown("ended_total"),badIn=endedIn - grown("succeeded_total"),states=stateCounts(store.rev.tasks);
	return h("div.view",{key:"overview"},heading(T.overview,null,M.runButton()),
		h("div.tiles",null,
			tile(T.waiting,queued,has&&queued?T.oldest(duration(oldest)):T.noneWaits,{place:"tasks/waiting",...flag(oldest>60000,oldest>300000?"bad":"warn","clock")}),
			tile(T.running,running,T.onExecutors(alive),{place:"tasks/running"}),
			tile(T.throughput,last===undefined?T.none:M.rate(last),has?last===undefined?T.soon:T.endedKey:T.needsOperator),
			tile(T.failures,endedIn?M.percent(badIn,endedIn):has?"0 %":T.none,has?T.ofEnded(M.count(endedIn)):T.needsOperator,{place:"tasks/failed",...flag(endedIn>4&&badIn / endedIn>0.1,"warn","triangle")}),
			tile(T.executors,`${alive}/${fleet.length}`,fleet.length - alive?T.notReady(fleet.length - alive):T.allReady,{place:"executors",...flag(fleet.length&&!alive,"bad","cross")}),
			tile(T.openCircuits,broken,broken?T.leftAlone:T.allClosed,{place:"circuits",...flag(broken,"bad","broken")}),
			tile(T.alerts,alerts.length,grave?T.grave(grave):alerts.length?T.noneGrave:T.allQuiet,{place:"checks",...flag(alerts.length,grave?"bad":"warn",grave?"cross":"triangle")}),
			tile(T.schedules,store.schedules.size,misfires?T.missedRuns(misfires):T.noneMissed,{place:"schedules"})),
		h("div.columns",null,
			h("div.column.grow",null,
				panel(T.throughput,!has?M.empty(T.metricsHidden,T.needsOperatorHint):ended.length<2?M.empty(T.chartSoon):[
					M.lineChart(T.chartLabel(M.rate(last),M.rate(bad.at(-1))),[{values:ended,tone:"busy",fill:true},{values:bad,tone:"bad"}]),
					h("p.legend.quiet",h("span.key.tone-busy",T.endedKey),h("span.key.dashed.tone-bad",T.otherKey),h("span.push",T.since(M.clock(samples[0].at))," \u00b7 ",T.peak(M.rate(Math.max(...ended)))))]),
				states.length?panel(T.tasksByState,h("ul.tags.states",states.map(([state,count])=>h("li",{key:state},M.badge(state)," ",h("b.number",M.count(count)))))):null,
				panel(T.failuresBy,failures())),
			h("div.column",null,
				panel(T.alerts,alerts.length?h("ul.plainlist",alerts.slice(0,8).map(M.alertItem)):M.empty(T.noAlerts)),
				panel(T.services,store.services.size?items([...store.services].sort().map(([key,one])=>[key,M.badge(one.state==="up"?"up":"down",key.split("/")[0]),
					quiet(S(one.version)," \u00b7 ",one.state==="up"?T.upFor(M.coarse(M.now() - Date.parse(one.since))):S(one.reason))])):M.empty(T.noServices,T.needsOperatorHint)),
				panel(T.lastEvents,store.events.length?eventList(store.events.slice(-8),event=>mono(S(event.subject))):M.empty(T.noEvents,T.noEventsHint)))));
};
const eventList=(events,more)=>items(events.slice().reverse().map(event=>[S(event.event_id),h("span.mono.quiet",{title:local(event.at)},Date.now() - Date.parse(event.at)>DAY?local(event.at):M.clock(event.at)),h("span.eventname",S(event.event)),more(event)]),".events");
// The last events of one thing: what the monitor tells to those who may ask, and what came since.
const eventsOf=(subject,starts,only=()=>true)=>{
	const past=M.denied()?null:M.detail("events/"+subject,()=>M.client.command("history","query","dashboard",{record:"event",subject,limit:30,bodies:true}));
	const all=new Map([...itemsOf(past?.answer).map(one=>O(one.body)).reverse(),...M.store.events.filter(event=>event.subject===subject)].map(event=>[event.event_id,event]));
	const found=[...all.values()].filter(event=>starts.some(start=>S(event.event).startsWith(start))&&only(event)).slice(-20);
	return panel(past?.answer?.outcome==="ok"?T.lastEvents:T.eventsHere,found.length?eventList(found,event=>quiet(clip(Object.entries(O(event.data)).filter(([,value])=>typeof value!=="object").map(([name,value])=>`${name} ${S(value, String(value))}`).join("  "),160))):quiet(T.noEventsYet));
};
// How many of the tasks that the dispatcher remembers are in each state.
const stateCounts=memo(()=>{
	const counts={};
	for (const {state} of M.store.tasks.values()) counts[state]=(counts[state]||0)+1;
	return Object.entries(counts).filter(([state])=>state in STATES).sort(([a],[b])=>ORDER.indexOf(a) - ORDER.indexOf(b));
});
// Failures by capability and code, from the same tasks.
const failureGroups=memo(()=>{
	const groups=new Map();
	for (const task of M.store.tasks.values()) {
		if (!["failed","timeout","rejected"].includes(task.state)) continue;
		const key=[task.state,S(task.capability),S(task.code,task.state)].join("\u0001"),group=groups.get(key)||{count:0};
		group.count++;
		if (!group.task||task.accepted_at>group.task.accepted_at) group.task=task;
		groups.set(key,group);
	}
	return [...groups].sort(([,a],[,b])=>b.count - a.count).slice(0,10);
});
const failures=()=>{
	const denied=M.denied();
	if (denied) return M.empty(T.byCommands,denied);
	M.keepTasks();
	if (!M.store.tasksLoaded) return M.store.tasksFault?M.fault(M.store.tasksFault,"dispatcher"):M.empty(T.loading);
	const rows=failureGroups(M.store.rev.tasks);
	return rows.length?grid([T.state,T.capability,T.code,T.times,T.last],rows.map(([key,group])=>{
		const [state,capability,code]=key.split("\u0001");
		return [key,M.badge(state),M.link(["capabilities",capability],mono(capability)),M.code(code),R(M.count(group.count)),M.link(["tasks",S(group.task.principal),S(group.task.task)],relative(group.task.accepted_at))];
	})):M.empty(T.noFailures);
};

// ---- tasks

const RUNS=["offered","running","canceling"],PRIORITY={__proto__:null,critical:0,high:1,normal:2,low:3};
const GROUPS={__proto__:null,
	"":()=>true,waiting:task=>M.isWaiting(task.state),approval:task=>task.state==="awaiting_approval",running:task=>RUNS.includes(task.state),success:task=>task.state==="success",
	failed:task=>task.state==="failed"||task.state==="timeout",canceled:task=>task.state==="canceled"||task.state==="rejected",
};
const countTasks=memo(()=>{
	const counts={};
	for (const task of M.store.tasks.values()) for (const name in GROUPS) if (GROUPS[name](task)) counts[name]=(counts[name]||0)+1;
	return counts;
});
// Newest first, as far as no column says otherwise.
const tasksIn=memo((rev,group,needle)=>{
	const rows=[],test=GROUPS[group]||GROUPS[""];
	for (const task of M.store.tasks.values()) if (test(task)&&matches(needle,task.task,task.principal,task.capability,task.executor,task.code,task.state)) rows.push(task);
	return rows.sort((a,b)=>(a.accepted_at<b.accepted_at?1:a.accepted_at>b.accepted_at?-1:0));
});
const taskColumns=[
	col("task",task=>S(task.task),{card:"title",cell:task=>mono(S(task.task)),width:"20%"}),
	col("state",task=>S(task.state),{card:"state",cell:task=>M.badge(task.state),width:"8.2rem"}),
	col("capability",task=>S(task.capability),{card:"show",class:"mono",width:"13%"}),
	col("code",task=>S(task.code),{card:"show",cell:task=>M.code(task.code),width:"11%"}),
	col("from",task=>S(task.principal)),
	col("executor",task=>S(task.executor),{card:"show"}),
	col("attempts",task=>N(task.attempt),{class:"right",width:"4.5rem",down:true}),
	col("priority",task=>PRIORITY[task.priority]??2,{cell:task=>S(task.priority,T.none),width:"5rem"}),
	col("accepted",task=>S(task.accepted_at),{card:"show",class:"right",cell:task=>M.time(task.accepted_at),down:true,width:"6.6rem"}),
];
views.tasks=place=>{
	if (place.length===1&&place[0] in GROUPS){ui.chips.tasks=place[0];location.replace("#/tasks");place=[];}
	const denied=M.denied(),store=M.store,rev=store.rev.tasks||0;
	if (denied) return h("div.view",{key:"tasks"},heading(T.tasks),M.empty(T.byCommands,denied));
	M.keepTasks();
	const counts=countTasks(rev),loading=!store.tasksLoaded&&!store.tasks.size;
	return listView({
		name:"tasks",tall:true,total:store.tasks.size,chosen:place.length>1?place[0]+"/"+place[1]:undefined,detail:()=>taskDetail(place[0],place[1]),buttons:M.runButton(),
		chips:M.chips("tasks",T.state,["","waiting","approval","running","success","failed","canceled"].map(name=>[name,T.taskGroups[name],counts[name]||0])),
		columns:taskColumns,rows:tasksIn(rev,ui.chips.tasks||"",ui.filters.tasks||""),rowKey:task=>task.principal+"/"+task.task,place:task=>["tasks",S(task.principal),S(task.task)],
		none:loading?store.tasksFault?M.fault(store.tasksFault,"dispatcher"):M.empty(T.loading):M.empty(T.noTasks,T.noTasksHint,M.runButton()),
	});
};
const taskDetail=(principal,id)=>{
	const key=`task/${principal}/${id}`,listed=M.store.tasks.get(principal+"/"+id),ask=(noun,verb)=>()=>M.client.command(noun,verb,id,{principal});
	const got=M.detail(key,ask("task","get"),{every:listed&&M.isEnded(listed.state)?0:2000,mark:listed?[listed.state,listed.attempt,listed.rev].join():""});
	const task=O(dig(got.answer,"reply.data")),known=got.answer?.outcome==="ok",state=S(known?task.state:listed?.state,"unknown");
	const why=known&&M.isWaiting(state)?M.detail(key+"/why",ask("task","explain"),{every:2000,mark:state}):null;
	// The dispatcher forgets after a day; the monitor may still know.
	const past=got.answer?.outcome==="refused"?M.detail(key+"/past",ask("history","get")):null;
	const record=O(L(dig(past?.answer,"reply.data.items")).find(one=>O(one).record==="result")),result=O(task.result||record.body),shown=known?task:listed||record;
	return detailPane(key,"tasks",mono(id),M.badge(S(record.status,state)),known?taskActions(task,principal):null,
		!known&&got.answer&&!record.status?M.fault(got.answer,"dispatcher"):null,
		facts([T.capability,shown.capability&&M.link(["capabilities",S(shown.capability)],S(shown.capability))],[T.from,S(principal)],[T.code,M.code(shown.code)],
			[T.executor,shown.executor&&M.link(["executors",S(shown.executor)],S(shown.executor))],[T.assignedTo,S(shown.assigned_to)],[T.priority,S(shown.priority)],[T.mode,S(shown.mode)],
			[T.accepted,when(shown.accepted_at)],[T.readyAt,M.isWaiting(state)&&when(shown.ready_at)],[T.deadline,!M.isEnded(state)&&when(shown.deadline_at)],[T.finished,when(result.finished_at)],
			[T.queuedFor,result.queued_ms!==undefined&&duration(N(result.queued_ms))],[T.took,result.duration_ms!==undefined&&duration(N(result.duration_ms))],
			[T.cost,result.cost!==undefined&&money(result.cost)+(N(result.wasted_cost)?T.andWasted(money(result.wasted_cost)):"")]),
		why?panel(T.whyWaiting,whyView(why)):null,
		known||record.status?panel(T.attemptsTitle,timeline(shown,result)):null,
		result.error?panel(T.error,h("p",M.code(result.error.code)," ",S(result.error.message)),quiet(T.codes[result.error.code]),raw(T.details,result.error.details)):null,
		raw(T.input,task.input),raw(T.output,result.output),raw(T.origin,task.origin),raw(T.context,task.context));
};
const taskActions=(task,principal)=>{
	const id=S(task.task),state=task.state,ended=M.isEnded(state),runs=RUNS.includes(state);
	const one=(verb,label,more)=>act("task",verb,id,label,{payload:{principal},done:()=>M.refresh(`task/${principal}/${id}`),...more});
	const reason=[{name:"reason",label:T.reason}],dialog={ask:"dialog",danger:true};
	return [
		state==="awaiting_approval"?[one("approve",T.approve),one("deny",T.deny,{...dialog,effect:T.denyEffect,fields:reason})]:null,
		ended?null:[one("cancel",T.cancelTask,runs?{...dialog,effect:T.cancelEffect(S(task.executor)),fields:reason}:{danger:true}),
			one("assign",T.assign,{ask:"dialog",effect:T.assignEffect,fields:[
				{name:"executor",label:T.executor,type:"select",value:S(task.assigned_to),options:[["",T.anyExecutor],...[...M.store.executors.keys()].sort().map(name=>[name,name])],read:value=>value||null},
				runs?{name:"steal",label:T.steal,type:"checkbox",read:value=>value===true||undefined}:null].filter(Boolean)})],
		state==="failed"||state==="timeout"?one("redrive",T.redrive):null,
		guarded(T.runAgain,()=>M.openRun(S(task.capability),task.input,S(task.priority)),{act:"again"}),
	];
};
// One lane for each attempt, and for what comes before it, on one time line.
const timeline=(task,result)=>{
	const start=Date.parse(task.accepted_at||result.accepted_at),over=Date.parse(result.finished_at),now=over||M.now(),whole=Math.max(1,now - start),attempts=L(result.attempts).map(O);
	if (!start||over&&!attempts.length) return M.empty(T.noAttempts);
	const place=(from,to)=>({left:`${Math.max(0, Math.min(99, 100 * (from - start) / whole))}%`,width:`${Math.max(0.6, Math.min(100, 100 * (to - from) / whole))}%`});
	const lane=(key,name,bars,words)=>h("li",{key},h("span.lanename",name),h("span.lane",{"aria-hidden":"true"},bars),h("span",words));
	let free=start;
	const lanes=attempts.map((one,n)=>{
		const from=Date.parse(one.started_at)||free,to=Math.min(now,from+N(one.duration_ms)),outcome=S(one.outcome,"unknown"),before=free;
		free=to;
		return lane(n,[T.attempt(N(one.number,n+1))," ",mono(S(one.executor))],[from - before>1?h("span.wait",{css:place(before,from)}):null,h("span.work",{class:"tone-"+M.tone(outcome),css:place(from,to)})],
			[M.badge(outcome)," ",duration(N(one.duration_ms)),one.error?[" ",M.code(one.error.code)]:null,N(one.cost)?` \u00b7 ${money(one.cost)}`:null]);
	});
	if (!over) {
		const runs=RUNS.includes(task.state),from=runs&&Date.parse(task.changed_at)||free;
		lanes.push(lane("now",runs?[T.attempt(N(task.attempt))," ",mono(S(task.executor))]:T.waits,h("span",{class:runs?"work tone-busy live":"wait",css:place(from,now)}),[M.badge(task.state)," ",T.soFar(duration(now - start))]));
	}
	return h("div",h("ol.lanes",lanes),h("p.axis.quiet",h("span",local(start)),h("span",over?`+${duration(whole)}`:T.now)));
};
const codeAndWords=code=>code?[M.code(code)," ",quiet(T.codes[code])]:h("span.tone-good",T.couldTake);
const whyView=why=>{
	if (why.answer&&why.answer.outcome!=="ok") return M.fault(why.answer,"dispatcher");
	const data=O(dig(why.answer,"reply.data")),candidates=L(data.candidates).map(O),counts=Object.entries(O(data.counts));
	if (!data.code) return M.empty(T.loading);
	return [h("p",M.code(data.code)," ",T.codes[data.code],!data.position?null:` (${T.position(N(data.position))})`),
		data.next_possible_at?h("p",T.nextMoment," ",when(data.next_possible_at)):null,
		counts.length?h("p",counts.map(([code,count])=>[M.code(code)," \u00d7 ",N(count),"  "])):null,
		candidates.length?grid([T.executor,T.code,T.until,T.cost,T.expected],candidates.map(one=>[S(one.executor)+S(one.mode),M.link(["executors",S(one.executor)],S(one.executor)),codeAndWords(one.code),one.until?M.time(one.until):"",R(money(one.cost)),R(duration(N(one.latency_ms)))])):null];
};

// ---- schedules (checks show the same parts)

M.rule=definition=>{
	const {type}=O(definition),spec=O(O(definition).spec);
	return type==="cron"?`${S(spec.expr)}  ${S(spec.timezone, "UTC")}`:type==="interval"?T.everySpan(duration(N(spec.every_ms))):type==="one-shot"?T.onceAt(local(spec.run_at)):S(type,T.none);
};
const scheduleStatus=view=>S(dig(view,"state.status"),"unknown");
const workOf=view=>S(dig(view,"definition.work.capability"),"run"),targetOf=view=>S(dig(view,"definition.target.agent_id"));
const nextColumn=col("next",([,view])=>S(dig(view,"state.next_run_at"),"~"),{card:"show",cell:([,view])=>M.time(dig(view,"state.next_run_at"))});
const scheduleColumns=[
	col("schedule",([name])=>name,{card:"title",cell:([name])=>mono(name),width:"22%"}),
	col("state",([,view])=>scheduleStatus(view),{card:"state",cell:([,view])=>M.badge(scheduleStatus(view)),width:"8rem"}),
	col("rule",([,view])=>M.rule(view.definition),{card:"show",class:"mono",width:"22%"}),
	col("capability",([,view])=>workOf(view),{class:"mono"}),
	nextColumn,
	col("last",([,view])=>S(dig(view,"state.last.started_at")),{card:"show",width:"17%",down:true,cell:([,view])=>{const last=O(dig(view,"state.last"));return last.status?[M.badge(last.status)," ",quiet(relative(last.started_at))]:quiet(T.never);}}),
	col("missed",([,view])=>N(dig(view,"state.missed")),{class:"right",down:true,width:"6rem"}),
];
const scheduleRows=memo((rev,needle)=>[...M.store.schedules].filter(([name,view])=>matches(needle,name,workOf(view),scheduleStatus(view),view.owner,M.rule(view.definition))).sort(([a],[b])=>a<b?-1:1));
views.schedules=([chosen])=>listView({
	name:"schedules",total:M.store.schedules.size,chosen,detail:()=>scheduleDetail(chosen),columns:scheduleColumns,rows:scheduleRows(M.store.rev.schedules||0,ui.filters.schedules||""),
	rowKey:([name])=>name,place:([name])=>["schedules",name],none:M.empty(T.noSchedules,T.noSchedulesHint),after:previewPanel(),
});
M.nextTable=times=>{
	const next=L(times).map(one=>typeof one==="string"?{slot:one}:O(one)),noted=next.some(one=>one.note);
	return next.length?grid([next[0].local?T.ruleZone:T.localZone(M.zone),T.utc,T.fromNow,noted?T.note:null].filter(Boolean),next.map(one=>[S(one.slot),mono(one.local?S(one.local).slice(0,19).replace("T"," ")+" "+S(one.local).slice(23):local(one.slot)),mono(M.utc(one.slot)),relative(one.slot),
		...noted?[one.note?[icon("triangle","warn")," ",T.notes[one.note]||S(one.note)]:""]:[]])):quiet(T.noNext);
};
M.slotPanel=state=>{
	const slots=O(state.slots),skipped=Object.entries(O(slots.skipped)),counted=value=>M.count(N(value));
	return panel(T.slotsTitle,facts([T.runs,counted(state.run_count)],[T.byHand,counted(state.manual)],[T.triggered,counted(slots.triggered)],[T.deferred,counted(slots.deferred)],[T.missed,counted(state.missed)],[T.failuresInRow,counted(state.failures)]),
		skipped.length?grid([T.skippedBy,T.slots],skipped.map(([name,value])=>[name,mono(S(name)),R(counted(value))])):null);
};
M.missing=(key,back,name)=>detailPane(key,back,mono(name),null,null,M.empty(T.notThere,T.notThereHint));
const scheduleDetail=name=>{
	const view=M.store.schedules.get(name);
	if (!view) return M.missing("schedule/"+name,"schedules",name);
	const definition=O(view.definition),policy=O(definition.policy),state=O(view.state),status=scheduleStatus(view),last=O(state.last),pending=O(state.pending_deferred);
	const one=(verb,label,more)=>act("schedule",verb,name,label,more),runLink=run=>M.link(["tasks","scheduler",S(run)],mono(S(run)));
	return detailPane("schedule/"+name,"schedules",mono(name),M.badge(status),[
		one("trigger",T.trigger),status==="active"?one("pause",T.pause):status==="paused"?one("resume",T.resume):one("enable",T.enable),
		one("delete",T.remove,{ask:"dialog",danger:true,effect:T.deleteEffect})],
	facts([T.rule,mono(M.rule(definition))],[T.capability,M.link(["capabilities",workOf(view)],workOf(view))],[T.target,targetOf(view)],[T.owner,S(view.owner)],[T.misfirePolicy,`${S(policy.misfire, "skip")}, ${T.grace(duration(N(policy.misfire_grace_ms, 60000)))}`],
		[T.reason,state.reason&&[M.code(state.reason)," ",S(state.note)]],[T.until,when(state.until)],[T.next,when(state.next_run_at)]),
	pending.run?h("p.notice",icon("clock","warn"),T.pendingDeferred(S(pending.run),S(pending.reason))):null,
	panel(T.nextFive,M.nextTable(state.next)),
	panel(T.lastRun,last.run?h("p",M.badge(last.status)," ",runLink(last.run)," ",relative(last.started_at),", ",duration(N(last.duration_ms))," ",M.code(last.code)):quiet(T.never)),
	L(state.live).length?panel(T.liveRuns,items(L(state.live).map(run=>[S(run),M.badge("running"),runLink(run)]))):null,
	M.slotPanel(state),eventsOf(name,["SCHEDULE","MISFIRED"]),raw(T.definition,definition));
};

// An expression, while it is typed.
const preview={expr:"30 2 * * *",zone:M.zone,asked:""};
const askPreview=()=>{
	clearTimeout(preview.timer);
	preview.timer=setTimeout(async ()=>{
		const asked=preview.asked=preview.expr+"\u0001"+preview.zone;
		if (M.denied()) {preview.asked="";return;}
		const answer=await M.client.command("schedule","preview","dashboard",{type:"cron",spec:{expr:preview.expr,timezone:preview.zone},target:{workspace_id:M.client.workspace,agent_id:"@any"},count:5});
		if (asked===preview.asked){preview.answer=answer;M.paint();}
	},250);
};
const previewPanel=()=>{
	const denied=M.denied(),{answer}=preview,data=O(dig(answer,"reply.data")),problem=O(L(data.problems)[0]),at=N(problem.at,-1);
	if (!denied&&!preview.asked){preview.asked="soon";askPreview();}
	const input=(name,label,kind)=>h("label.search"+kind,null,h("span.sr",label),h("input.mono",{id:"preview-"+name,type:"text",init:preview[name],placeholder:label,spellcheck:"false",autocomplete:"off",oninput:event=>{preview[name]=event.target.value;askPreview();}}));
	return h("section.panel",{key:"preview"},h("h2",T.previewTitle),denied?h("p.quiet",icon("lock")," ",denied):[
		h("div.bar",input("expr",T.expression,".wide"),input("zone",T.timezone,"")),
		h("div",{id:"preview-answer"},!answer?quiet(T.loading)
			:answer.outcome==="ok"?[M.nextTable(data.next),L(data.warnings).map(one=>h("p.notice",icon("triangle","warn"),S(O(one).why,S(one))))]
				:answer.outcome==="refused"?h("p.fault",icon("cross","bad"),S(problem.why,S(answer.reply.message)),at>=0&&at<=preview.expr.length?h("span.mono.at",preview.expr.slice(0,at),h("mark",preview.expr.slice(at,at+1)||"\u00a0"),preview.expr.slice(at+1)):null)
					:M.fault(answer,"scheduler"))]);
};

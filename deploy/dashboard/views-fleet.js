// Executors, capabilities, circuits, checks and alerts.
"use strict";

// ---- executors

const ALIVE=new Set(["ready","running","busy","online","sleeping"]);
// The verdict of heartbeat where there is one, else the executor's own status.
const executorRows=memo(()=>{
	const free=new Map();
	for (const view of M.store.capabilities.values()) for (const one of L(view.executors)) free.set(O(one).executor,N(O(one).free_slots));
	return [...M.store.executors].map(([name,parts])=>{
		const card=O(parts.card),verdict=S(O(parts.liveness).verdict)||S(O(parts.status).status,"unknown"),slots=N(card.slots,1),left=parts.liveness?.free_slots??free.get(name);
		return {name,parts,card,verdict,alive:ALIVE.has(verdict),slots,used:left===undefined?null:Math.max(0,slots - N(left)),capabilities:L(card.capabilities).map(O)};
	}).sort((a,b)=>(a.name<b.name?-1:1));
});
const words=values=>L(values).map(one=>S(one)).join(", ");
M.executorRows=()=>executorRows(M.store.rev.executors||0,M.store.rev.capabilities||0);
const executorsIn=memo((rev,more,needle,chip)=>M.executorRows().filter(row=>(!chip||(chip==="alive")===row.alive)&&matches(needle,row.name,row.verdict,row.card.type,row.card.version,words(row.card.labels),words(row.capabilities.map(one=>one.name)))));
const slotMeter=row=>row.used===null?quiet(`?/${row.slots}`):M.meter(row.used,row.slots);
const executorColumns=[
	col("executor",row=>row.name,{card:"title",cell:row=>mono(row.name),width:"24%"}),
	col("verdict",row=>row.verdict,{card:"state",cell:row=>M.badge(row.verdict),width:"9rem"}),
	col("slotsUsed",row=>row.used??-1,{card:"show",cell:slotMeter,down:true,width:"9rem"}),
	col("capabilities",row=>row.capabilities.length,{card:"show",cell:row=>row.capabilities.length===1?mono(S(row.capabilities[0].name)):row.capabilities.length,down:true}),
	col("type",row=>clip(S(row.card.type),40)),
	col("version",row=>clip(S(row.card.version),24)),
	col("mode",row=>words(row.card.modes)||(row.parts.card?"push":T.noCard),{card:"show"}),
];
views.executors=([chosen])=>{
	const all=M.executorRows(),alive=all.filter(row=>row.alive).length,store=M.store;
	return listView({
		name:"executors",tall:true,total:all.length,chosen,detail:()=>executorDetail(chosen),columns:executorColumns,rowKey:row=>row.name,place:row=>["executors",row.name],
		rows:executorsIn(store.rev.executors||0,store.rev.capabilities||0,ui.filters.executors||"",ui.chips.executors||""),
		chips:M.chips("executors",T.verdict,[["",T.all,all.length],["alive",T.aliveChip,alive],["gone",T.notAlive,all.length - alive]]),none:M.empty(T.noExecutors,T.noExecutorsHint),
	});
};
const executorDetail=name=>{
	const row=M.executorRows().find(one=>one.name===name),key="executor/"+name;
	if (!row) return M.missing(key,"executors",name);
	const live=O(row.parts.liveness),got=M.denied()?null:M.detail(key,()=>M.client.command("executor","get",name),{every:5000,mark:row.verdict});
	const known=O(dig(got?.answer,"reply.data")),leases=L(known.leases),away=[row.verdict,known.state].some(state=>state==="draining"||state==="paused");
	const one=(verb,label,more)=>act("executor",verb,name,label,{done:()=>M.refresh(key),...more});
	return detailPane(key,"executors",mono(name),M.badge(row.verdict),[away?one("resume",T.resume):one("drain",T.drain),one("drain",T.drainNow,{payload:{now:true},ask:"dialog",danger:true,effect:T.drainNowEffect})],
		facts([T.dispatcherSays,known.state&&M.badge(known.state)],[T.ownStatus,S(O(row.parts.status).status)],[T.because,live.reason&&(T.livenessReasons[live.reason]||S(live.reason))],[T.sinceWhen,when(live.since)],[T.lastSeenThen,when(live.last_seen)],
			[T.slotsUsed,slotMeter(row)],[T.type,S(row.card.type)],[T.version,S(row.card.version)],[T.mode,words(row.card.modes)],[T.labels,L(row.card.labels).length>0&&h("span.tags",L(row.card.labels).map(label=>h("span.tag",S(label))))]),
		leases.length?panel(T.leases,items(leases.slice(0,50).map(O).map((lease,n)=>[n,M.badge("running"),lease.principal?M.link(["tasks",S(lease.principal),S(lease.task)],mono(S(lease.task))):mono(S(lease.task))]))):null,
		panel(T.capabilities,row.capabilities.length?grid([T.name,T.kind,T.version,T.cost,T.expected],row.capabilities.map(offered=>[S(offered.name),M.link(["capabilities",S(offered.name)],mono(S(offered.name))),S(offered.kind,"skill"),S(offered.version),R(money(O(offered.cost).fixed)),R(offered.expected_ms?duration(N(offered.expected_ms)):"")])):M.empty(T.noCapabilities)),
		eventsOf(name,["EXECUTOR","LEASE"]),raw(T.card,row.parts.card));
};

// ---- capabilities: supply against demand

const capabilityRows=memo(()=>{
	const kinds=new Map();
	for (const {card} of M.store.executors.values()) for (const one of L(O(card).capabilities)) kinds.set(O(one).name,S(O(one).kind,"skill"));
	return [...M.store.capabilities].map(([name,view])=>{
		const executors=L(view.executors).map(O),able=executors.filter(one=>!one.code),conflicts=L(view.conflicts).map(O);
		return {name,view,executors,online:able.length,free:able.reduce((sum,one)=>sum+N(one.free_slots),0),queued:N(view.queued),running:N(view.running),conflicts,grave:conflicts.filter(one=>one.class!=="overlap"),kind:kinds.get(name)||"",circuit:S(view.circuit,"closed")};
	}).sort((a,b)=>(a.name<b.name?-1:1));
});
M.capabilityRows=()=>capabilityRows(M.store.rev.capabilities||0,M.store.rev.executors||0);
M.costRange=view=>view.cost_min===undefined?T.none:view.cost_min===view.cost_max?money(view.cost_min):`${money(view.cost_min)}\u2013${money(view.cost_max)}`;
const balance=row=>h("span",{title:T.balance(row.free,row.running,row.queued)},M.meter(row.queued,row.free,row.queued>row.free));
const capabilityColumns=[
	col("capability",row=>row.name,{card:"title",cell:row=>mono(row.name),width:"22%"}),
	col("circuit",row=>row.circuit,{card:"state",cell:row=>M.badge(row.circuit),width:"8rem"}),
	col("waitingFree",row=>row.queued,{card:"show",cell:balance,down:true,width:"12rem"}),
	col("running",row=>row.running,{card:"show",class:"right",down:true,width:"5.5rem"}),
	col("executors",row=>row.online,{card:"show",class:"right",down:true,width:"6.5rem",cell:row=>[row.queued&&!row.online?[icon("triangle","bad")," "]:null,`${row.online}/${row.executors.length}`]}),
	col("kind",row=>row.kind),
	col("cost",row=>N(row.view.cost_min),{class:"right",cell:row=>M.costRange(row.view),down:true}),
	col("conflicts",row=>row.grave.length,{down:true,cell:row=>row.grave.length?[icon("triangle","warn")," ",words(row.grave.map(one=>one.class))]:quiet(row.conflicts.length?T.pool:T.none)}),
];
const capabilitiesIn=memo((rev,more,needle)=>M.capabilityRows().filter(row=>matches(needle,row.name,row.kind,row.circuit,words(row.executors.map(one=>one.executor)))));
views.capabilities=([chosen])=>listView({
	name:"capabilities",tall:true,total:M.store.capabilities.size,chosen,detail:()=>capabilityDetail(chosen),buttons:M.runButton(),columns:capabilityColumns,rowKey:row=>row.name,place:row=>["capabilities",row.name],
	rows:capabilitiesIn(M.store.rev.capabilities||0,M.store.rev.executors||0,ui.filters.capabilities||""),none:M.empty(T.noCapabilities,T.noExecutorsHint),
});
const forFields=[{name:"for_ms",label:T.forHowLong,type:"select",value:"",options:[["",T.untilReset],["60000","1 min"],["600000","10 min"],["3600000","1 h"]],read:value=>value?Number(value):undefined}];
const capabilityDetail=name=>{
	const row=M.capabilityRows().find(one=>one.name===name),key="capability/"+name;
	if (!row) return M.missing(key,"capabilities",name);
	const isPaused=row.executors.length>0&&row.executors.every(one=>one.code==="paused"),one=(verb,label)=>act("capability",verb,name,label);
	return detailPane(key,"capabilities",mono(name),M.badge(row.circuit,T.circuitIs(T.states[row.circuit]||row.circuit)),[
		guarded(T.runShort,()=>M.openRun(name),{class:"primary",act:"run-this"}),isPaused?null:one("pause",T.pause),one("resume",T.resume),
		act("circuit","open",name,T.openCircuit,{ask:"dialog",danger:true,effect:T.openEffect,fields:forFields})],
	facts([T.waiting,M.count(row.queued)],[T.running,M.count(row.running)],[T.freeSlots,M.count(row.free)],[T.executors,`${row.online}/${row.executors.length}`],[T.kind,row.kind],[T.cost,M.costRange(row.view)],[T.circuit,M.link(["circuits",name],T.show)],[T.tasks,h("a",{href:"#/tasks",onclick:()=>{ui.filters.tasks=name;}},T.show)]),
	row.conflicts.length?panel(T.conflicts,items(row.conflicts.map((conflict,n)=>[n,icon(row.grave.includes(conflict)?"triangle":"ring",row.grave.includes(conflict)?"warn":"calm"),h("span",h("b",S(conflict.class))," ",words(conflict.executors)," \u2013 ",S(conflict.resolution)," ",M.time(conflict.since))]))):null,
	panel(T.executors,row.executors.length?grid([T.executor,T.state,T.code,T.freeSlots,T.cost,T.mode],row.executors.map(who=>[S(who.executor),M.link(["executors",S(who.executor)],mono(S(who.executor))),M.badge(who.state),codeAndWords(who.code),R(N(who.free_slots)),R(money(who.cost)),words(who.modes)])):M.empty(T.noExecutors)),
	eventsOf(name,["CAPABILITY","CONFLICT","CIRCUIT"]),raw(T.view,row.view));
};

// ---- circuits

const STATE_ORDER={__proto__:null,open:0,half_open:1,closed:2};
M.openCircuits=()=>[...M.store.circuits.values()].filter(one=>one.state in STATE_ORDER&&one.state!=="closed").length;
const circuitName=key=>key.replace("/"," / ");
const circuitRows=memo((rev,needle)=>[...M.store.circuits].map(([key,view])=>({key,view})).filter(({key,view})=>matches(needle,key,view.state,view.why,view.forced_by))
	.sort((a,b)=>(STATE_ORDER[a.view.state]??3) - (STATE_ORDER[b.view.state]??3)||(a.key<b.key?-1:1)));
const countdown=view=>{
	if (view.state==="half_open") return T.probing;
	if (!view.until) return quiet(view.forced_by?T.untilReset:T.none);
	const left=Date.parse(view.until) - M.now(),whole=Date.parse(view.until) - Date.parse(view.since);
	return h("span.countdown",h("span.track",{"aria-hidden":"true"},h("span",{css:{width:`${Math.max(0, Math.min(100, 100 - 100 * left / whole))}%`}})),h("span.number",left>0?T.probeIn(view.forced_by,duration(1000*Math.ceil(left / 1000))):T.probeDue));
};
const circuitColumns=[
	col("capability",row=>row.key,{card:"title",cell:row=>mono(circuitName(row.key)),width:"24%"}),
	col("state",row=>STATE_ORDER[row.view.state]??3,{card:"state",cell:row=>M.badge(row.view.state),width:"8rem"}),
	col("scope",row=>row.key.includes("/")?T.pair:T.wholeCapability),
	col("probe",row=>S(row.view.until,"~"),{card:"show",cell:row=>countdown(row.view),width:"14rem"}),
	col("why",row=>S(row.view.why),{card:"show",cell:row=>M.code(row.view.why)}),
	col("failuresInRow",row=>N(row.view.failures),{class:"right",card:"show",down:true}),
	col("forcedBy",row=>S(row.view.forced_by)),
	col("sinceWhen",row=>S(row.view.since),{class:"right",cell:row=>M.time(row.view.since),down:true}),
];
views.circuits=place=>listView({
	name:"circuits",tall:true,total:M.store.circuits.size,chosen:place.length?place.join("/"):undefined,detail:()=>circuitDetail(place.join("/")),columns:circuitColumns,rows:circuitRows(M.store.rev.circuits||0,ui.filters.circuits||""),
	rowKey:row=>row.key,place:row=>["circuits",...row.key.split("/")],none:M.empty(T.noCircuits,T.noCircuitsHint),
});
const circuitDetail=key=>{
	const [capability,executor]=key.split("/"),known=M.store.circuits.has(key),view=O(M.store.circuits.get(key)),state=S(view.state,"closed");
	const one=(verb,label,more)=>act("circuit",verb,capability,label,{payload:executor?{executor}:{},shown:circuitName(key),...more}),forced=effect=>({ask:"dialog",danger:true,effect,fields:forFields});
	const past=L(M.store.states.get(key)).slice().reverse();
	return detailPane("circuit/"+key,"circuits",mono(circuitName(key)),M.badge(state),[one("reset",T.reset),one("open",T.forceOpen,forced(T.openEffect)),one("close",T.forceClose,forced(T.closeEffect))],
		known&&state!=="closed"?h("div.bigcount",icon(state==="open"?"broken":"half",M.tone(state)),countdown(view)):null,
		facts([T.sinceWhen,when(view.since)||T.neverOpen],[T.until,when(view.until)],[T.why,view.why&&codeAndWords(view.why)],[T.failuresInRow,known&&M.count(N(view.failures))],[T.openings,known&&M.count(N(view.opened))],[T.window,T.windowText],[T.forcedBy,S(view.forced_by)],
			[T.capability,M.link(["capabilities",capability],capability)],[T.executor,executor&&M.link(["executors",executor],executor)]),
		panel(T.stateHistory,past.length?items(past.map(was=>[S(was.state)+S(was.since),M.badge(was.state),when(was.since),M.code(was.why),was.forced_by?T.by(S(was.forced_by)):null])):M.empty(T.noChanges)),
		eventsOf(capability,["CIRCUIT"],event=>!executor||dig(event,"data.executor")===executor));
};

// ---- checks and alerts

const SEVERITY={__proto__:null,critical:0,warning:1,info:2};
M.alertRows=()=>[...M.store.alerts].map(([key,one])=>({key,severity:S(one.severity,"info"),since:one.since,words:S(one.text),count:N(one.count)})).sort((a,b)=>(SEVERITY[a.severity]??3) - (SEVERITY[b.severity]??3)||(a.since<b.since?1:-1));
M.alertItem=alert=>h("li",{key:alert.key},M.badge(alert.severity),h("span.grow",clip(alert.words,300),h("span.quiet.block",mono(alert.key)," ",relative(alert.since),alert.count>1?` \u00d7 ${M.count(alert.count)}`:"")));
const CHECK_ORDER={__proto__:null,error:0,warning:1,ok:2,none:3},checkState=view=>S(view.status)||"none",checkOrder=([,view])=>CHECK_ORDER[checkState(view)]??4;
const checkRows=memo((rev,needle)=>[...M.store.checks].filter(([name,view])=>matches(needle,name,view.status,workOf(view),targetOf(view),dig(view,"last.message"))).sort((a,b)=>checkOrder(a) - checkOrder(b)||(a[0]<b[0]?-1:1)));
const checkColumns=[
	col("check",([name])=>name,{card:"title",cell:([name])=>mono(name),width:"20%"}),
	col("state",checkOrder,{card:"state",cell:([,view])=>M.badge(scheduleStatus(view)==="active"?checkState(view):scheduleStatus(view)),width:"8rem"}),
	col("lastMessage",([,view])=>clip(S(dig(view,"last.message")),120),{card:"show",width:"28%"}),
	col("streak",([,view])=>N(view.consecutive_failures),{class:"right",card:"show",down:true}),
	col("target",([,view])=>targetOf(view)),
	col("last",([,view])=>S(dig(view,"last.ran_at")),{cell:([,view])=>M.time(dig(view,"last.ran_at")),down:true}),
	nextColumn,
];
const noteItem=([key,note])=>L(note.list).map(O).map((one,n)=>[key+n,one.status||one.level?M.badge(S(one.status||one.level)):icon("ring","calm"),h("span.grow",S(one.message,S(one.reason)),h("span.quiet.block",mono(key)," ",one.scheduled_at?relative(one.scheduled_at):""," ",M.code(one.code)))]);
views.checks=([chosen])=>{
	const alerts=M.alertRows(),notes=[...M.store.notes].flatMap(noteItem).slice(-30).reverse();
	return listView({
		name:"checks",total:M.store.checks.size,chosen,detail:()=>checkDetail(chosen),columns:checkColumns,rows:checkRows(M.store.rev.checks||0,ui.filters.checks||""),rowKey:([name])=>name,place:([name])=>["checks",name],none:M.empty(T.noChecks,T.noChecksHint),
		before:panel(T.alerts,alerts.length?h("ul.plainlist.alerts",alerts.slice(0,100).map(M.alertItem)):M.empty(T.noAlerts)),after:notes.length?panel(T.notifications,items(notes)):null,
	});
};
const checkDetail=name=>{
	const view=M.store.checks.get(name),key="check/"+name;
	if (!view) return M.missing(key,"checks",name);
	const state=O(view.state),last=O(view.last),status=scheduleStatus(view),denied=M.denied(),got=denied?null:M.detail(key,()=>M.client.command("check","get",name,{history:50}),{every:10000,mark:S(last.run)});
	const log=L(dig(got?.answer,"reply.data.history")).map(O),one=(verb,label)=>act("check",verb,name,label,{done:()=>M.refresh(key)});
	return detailPane(key,"checks",mono(name),M.badge(checkState(view)),[one("run",T.runNow),status==="active"?one("pause",T.pause):status==="paused"?one("resume",T.resume):null],
		facts([T.sinceWhen,when(view.since)],[T.lastMessage,S(last.message)],[T.last,when(last.ran_at)||T.never],[T.took,last.duration_ms!==undefined&&duration(N(last.duration_ms))],[T.streak,M.count(N(view.consecutive_failures))],[T.next,when(state.next_run_at)],
			[T.rule,mono(M.rule(view.definition))],[T.capability,workOf(view)],[T.target,targetOf(view)],[T.schedule,M.badge(status)],[T.until,when(state.until)]),
		panel(T.lastRuns,denied?quiet(denied):log.length?[grid([T.at,T.state,T.took,T.message],log.slice(0,20).map((run,n)=>[n,mono(local(run.ran_at)),M.badge(run.status),R(run.duration_ms===undefined?"":duration(N(run.duration_ms))),clip(S(run.message,S(run.code)),200)]))]
			:got?.answer&&got.answer.outcome!=="ok"?M.fault(got.answer,"heartbeat"):M.empty(T.noRuns)),
		panel(T.nextFive,M.nextTable(state.next)),M.slotPanel(state),eventsOf(name,["CHECK","SCHEDULE","MISFIRED"]),raw(T.definition,view.definition));
};

// Cost, history, raw messages.
"use strict";
const pick=(label,target,name,options)=>h("label.pick",h("span.sr",label),h("select",{init:target[name],onchange:event=>{target[name]=event.target.value;M.paint();}},options.map(([value,shown])=>h("option",{value,selected:value===target[name]},shown))));
const SPANS=[["1",T.lastHour],["24",T.lastDay],["168",T.lastWeek],["720",T.lastMonth],["",T.allTime]];
const fromOf=hours=>hours?new Date(Math.floor((M.now() - hours*3600000) / 60000)*60000).toISOString():undefined;

// ---- cost

const cost={span:"168"},DIMENSIONS=["capability","executor","type","kind","principal","day"],dimension=name=>T[name==="type"?"executorType":name];
const spentOf=one=>N(one.cost)+N(one.wasted_cost);
// What the cards say that one unit costs, by capability or executor.
const declaredCosts=memo((rev,by)=>{
	const all=new Map();
	for (const [who,{card}] of M.store.executors) for (const one of L(O(card).capabilities).map(O)) {
		const key=by==="capability"?S(one.name):who,cost=N(dig(one,"cost.fixed"))+N(dig(one,"cost.per_unit")),was=all.get(key)||{cost_min:cost,cost_max:cost};
		all.set(key,{cost_min:Math.min(was.cost_min,cost),cost_max:Math.max(was.cost_max,cost)});
	}
	return all;
});
// Every day from the first to the last, also those on which nothing was spent.
const dayColumns=rows=>{
	const known=new Map(rows.map(one=>[one.name,[N(one.cost),N(one.wasted_cost)]])),last=Date.parse(rows.at(-1).name),columns=[];
	for (let day=Date.parse(rows[0].name);day<=last&&columns.length<400;day+=DAY) columns.push(known.get(new Date(day).toISOString().slice(0,10))||[0,0]);
	return columns;
};
const budgetsView=metrics=>{
	const numbers=Object.keys(metrics).map(key=>/^budget_(\d+)_amount$/.exec(key)?.[1]).filter(Boolean);
	return !numbers.length?null:panel(T.budgets,items(numbers.map(n=>{
		const of=name=>N(metrics[`budget_${n}_${name}`]),used=of("spent")+of("reserved");
		return [n,h("span.grow",T.budget(n,duration(of("period_ms")))),M.meter(used,of("amount"),used>0.9*of("amount"),money)];
	}),".budgets"));
};
views.cost=()=>{
	// What the monitor answers; without it, or without the right to ask, its retained summaries.
	const by=ui.chips.cost||"capability",denied=M.denied(),got=denied?{}:M.detail(`cost/${by}/${cost.span}`,()=>M.client.command("history","cost","dashboard",{by,from:fromOf(Number(cost.span)),limit:200}),{every:10000});
	const rows=got.answer?.outcome==="ok"?itemsOf(got.answer):[...M.store.summaries].filter(([key])=>key.startsWith(by+"/")).map(([key,one])=>({...one,name:key.slice(by.length+1)}));
	rows.sort((a,b)=>by==="day"?(a.name<b.name?-1:1):spentOf(b) - spentOf(a));
	const sum=name=>rows.reduce((total,one)=>total+N(one[name]),0),wasted=sum("wasted_cost"),spent=sum("cost")+wasted,counted=sum("count"),top=Math.max(1,...rows.map(spentOf));
	const metrics=O(M.store.metrics.get("dispatcher")),place={capability:"capabilities",executor:"executors"}[by];
	const bar=one=>M.bar(100*N(one.cost) / top,100*N(one.wasted_cost) / top),declared=place?declaredCosts(M.store.rev.executors||0,by):null,perResult=one=>one.count?money(Math.round(spentOf(one) / one.count)):T.none;
	return h("div.view",{key:"cost"},heading(T.cost),
		h("div.bar",M.chips("cost",T.split,DIMENSIONS.map(name=>[name==="capability"?"":name,dimension(name)])),pick(T.span,cost,"span",SPANS)),
		denied?h("p.notice",icon("lock","warn"),h("span",T.costFromSummary," ",denied)):null,
		!denied&&!got.answer?M.empty(T.loading):[got.answer&&got.answer.outcome!=="ok"?M.fault(got.answer,"monitor"):null,
			h("div.tiles",tile(T.spent,money(spent),T.inResults(M.count(counted))),tile(T.wasted,money(wasted),M.percent(wasted,spent),flag(wasted>spent*0.2,"warn","triangle")),tile(T.perResult,perResult({cost:spent,count:counted}),T.average),
				metrics.cost_total===undefined?null:tile(T.thisRun,money(metrics.cost_total),T.wastedOf(money(metrics.wasted_cost_total)))),
			budgetsView(metrics),
			panel(T.costBy(dimension(by)),!rows.length?M.empty(T.noCost,T.noCostHint):[
				by==="day"?M.columnChart(T.costChart(rows[0].name,rows.at(-1).name,money(spent)),dayColumns(rows)):null,
				h("p.legend",h("span.key.tone-busy",T.cost),h("span.key.tone-warn",T.wasted)),
				sideways(dimension(by),grid([dimension(by),T.share,T.cost,T.wasted,T.results,...declared?[T.declared,T.reported]:[]],rows.slice(0,200).map(one=>[S(one.name),place&&one.name?M.link([place,S(one.name)],mono(S(one.name))):mono(S(one.name,T.none)),bar(one),R(money(one.cost)),R(money(one.wasted_cost)),R(M.count(N(one.count))),
					...declared?[R(M.costRange(declared.get(one.name)||{})),R(perResult(one))]:[]])))])]);
};

// ---- history

const past={span:"24",record:"result",status:"",asked:""},RECORDS=["result","dead","event","check","log"];
const FIELDS=["subject","capability","executor","type","principal","code","user","request"];
const askHistory=async after=>{
	const needle=(ui.filters.history||"").trim(),asked=[past.span,past.record,past.status,needle].join("\u0001");
	if (!after&&asked===past.asked||past.loading) return;
	past.asked=asked;
	past.loading=true;
	const fields={record:past.record||undefined,status:past.status||undefined,from:fromOf(Number(past.span)),limit:100,after};
	for (const word of needle.split(/\s+/).filter(Boolean)) {
		const [name,value]=word.includes("=")?word.split("=",2):["subject",word];
		if (FIELDS.includes(name)) fields[name]=value;
	}
	const answer=past.answer=await M.client.command("history","query","dashboard",fields);
	past.loading=false;
	past.items=after?past.items.concat(itemsOf(answer)):itemsOf(answer);
	past.more=S(dig(answer,"reply.data.after"));
	M.paint();
};
const historyColumns=[
	col("at",one=>S(one.at),{class:"mono",card:"show",cell:one=>h("time",{datetime:S(one.at),title:`${M.utc(one.at)} UTC`},local(one.at)),down:true,width:"11.5rem"}),
	col("subject",one=>S(one.subject),{card:"title",class:"mono",width:"24%"}),
	col("state",one=>S(one.status),{card:"state",cell:one=>one.status?M.badge(one.status):quiet(S(one.record)),width:"8rem"}),
	col("code",one=>S(one.code),{card:"show",cell:one=>M.code(one.code)}),
	col("capability",one=>S(one.capability),{card:"show",class:"mono"}),
	col("executor",one=>S(one.executor)),
	col("from",one=>S(one.principal)),
	col("took",one=>N(one.duration_ms,-1),{class:"right",cell:one=>one.duration_ms===undefined?"":duration(N(one.duration_ms)),down:true}),
	col("cost",one=>N(one.cost),{class:"right",cell:one=>one.cost?money(one.cost):"",down:true}),
];
historyColumns.link=1;
const historyPlace=one=>{
	const name=S(one.code),subject=S(one.subject);
	if (["result","dead"].includes(one.record)&&one.principal) return ["tasks",S(one.principal),subject];
	if (one.record==="check") return ["checks",subject];
	for (const [start,view] of [["SCHEDULE","schedules"],["MISFIRED","schedules"],["EXECUTOR","executors"],["CIRCUIT","circuits"],["CAPABILITY","capabilities"]]) if (name.startsWith(start)) return [view,subject,view==="circuits"&&S(one.executor)].filter(Boolean);
	return ["history"];
};
views.history=()=>{
	const denied=M.denied();
	if (denied) return h("div.view",{key:"history"},heading(T.history),M.empty(T.byCommands,denied));
	clearTimeout(past.timer);
	past.timer=setTimeout(()=>{if (isOnline()&&ui.route.view==="history") askHistory();},past.asked?400:0);
	const stats=M.detail(`stats/${past.span}`,()=>M.client.command("history","stats","dashboard",{by:"capability",from:fromOf(Number(past.span)),limit:100}),{every:15000});
	const numbers=itemsOf(stats.answer).sort((a,b)=>N(b.count) - N(a.count));
	return h("div.view",{key:"history"},heading(T.history,past.items?`${M.count(past.items.length)}${past.more ? "+" : ""}`:null),
		h("div.bar",M.filterBox("history",T.filters.history),pick(T.span,past,"span",SPANS),pick(T.record,past,"record",[["",T.all],...RECORDS.map(name=>[name,T.records[name]])]),pick(T.state,past,"status",[["",T.anyState],...["success","failed","timeout","canceled","rejected"].map(name=>[name,T.states[name]])]),
			btn(T.askAgain,()=>{past.asked="";askHistory();})),
		!past.answer?M.empty(T.loading):past.answer.outcome!=="ok"?M.fault(past.answer,"monitor"):[
			M.table({id:"history",label:T.history,columns:historyColumns,rows:past.items,rowKey:one=>String(one.n??S(one.at)+S(one.subject)),place:historyPlace,empty:M.empty(T.noRecords,T.noRecordsHint)}),
			past.more?h("p",btn(past.loading?T.loading:T.older,()=>askHistory(past.more))):null,
			numbers.length?panel(T.statsTitle,sideways(T.statsTitle,grid([T.capability,T.results,T.successRate,T.queuedP50,T.queuedP99,T.ranP50,T.ranP99,T.longest,T.cost],numbers.map(one=>[S(one.name),M.link(["capabilities",S(one.name)],mono(S(one.name,T.none))),R(M.count(N(one.count))),R(one.success_permille===undefined?T.none:`${(N(one.success_permille) / 10).toFixed(1)} %`),
				...["queued.p50_ms","queued.p99_ms","run.p50_ms","run.p99_ms","run.max_ms"].map(path=>R(duration(N(dig(one,path))))),R(money(one.cost))])))):null]);
};

// ---- messages: a connection of its own, so that its filter disturbs nothing

const KEPT=2000,bus={filter:"",client:null,live:[],retained:new Map(),stopped:false,count:0,rev:0,opened:new Set()};
M.watchMessages=on=>{
	if (on&&!bus.client&&isOnline()) {
		const {url,user,password,workspace,version,base}=M.client;
		bus.filter=bus.filter||base+"#";
		bus.client=new M.Client({url,user,password,workspace,version,onState:()=>M.paint(),onMessage:takeRaw,asPublished:true});
		bus.client.subscribe(bus.filter);
		bus.client.open();
	}
	if (!on&&bus.client){bus.client.close();bus.client=null;}
};
const emptyBus=()=>{bus.live=[];bus.retained.clear();bus.rev++;};
M.forgetMessages=()=>{M.watchMessages(false);emptyBus();bus.filter="";};
const takeRaw=({topic,payload,retain,qos})=>{
	const message={key:String(++bus.count),topic,payload,retain,qos,at:Date.now()};
	if (retain&&!payload.length) bus.retained.delete(topic);
	else if (retain&&(bus.retained.size<20000||bus.retained.has(topic))) bus.retained.set(topic,message);
	if (!bus.stopped&&bus.live.push(message)>KEPT*1.2) bus.live=bus.live.slice(-KEPT);
	bus.rev++;
	M.paint();
};
const setFilter=filter=>{
	if (!filter||filter===bus.filter) return;
	bus.client?.unsubscribe(bus.filter);
	bus.filter=filter;
	emptyBus();
	bus.client?.subscribe(filter);
	M.paint();
};
const bodyOf=message=>decoder.decode(message.payload),startOf=message=>message?clip(M.visible(decoder.decode(message.payload.subarray(0,300))),160):"";
const shownBody=message=>{try {return M.json(JSON.parse(bodyOf(message)));} catch {return M.visible(bodyOf(message));}};
M.pubCommand=message=>`mosquitto_pub -q ${Math.min(1, message.qos)}${message.retain ? " -r" : ""} -t ${M.quote(message.topic)} ${message.payload.length ? `-m ${M.quote(bodyOf(message))}` : "-n"}`;
const liveRows=memo((rev,needle)=>bus.live.filter(one=>matches(needle,one.topic)).reverse());
const liveColumns=[
	col("at",null,{class:"mono",card:"show",cell:one=>M.clock(one.at),width:"6rem"}),
	col("topic",null,{card:"title",class:"mono",cell:one=>S(one.topic),width:"50%"}),
	col("flags",null,{card:"state",cell:one=>[one.retain?h("span.tag",T.retained):null," ",quiet("QoS ",one.qos)],width:"10rem"}),
	col("payload",null,{class:"mono",card:"show",cell:startOf}),
];
liveColumns.link=1;
// The first two levels stand open, the others closed, until somebody says otherwise.
const isOpen=(at,depth)=>depth<2!==bus.opened.has(at);
const tree=memo((rev,needle)=>{
	const root={kids:new Map()},rows=[];
	for (const [topic,message] of bus.retained) {
		if (!matches(needle,topic)) continue;
		let node=root;
		for (const level of topic.split("/")) {
			if (!node.kids.has(level)) node.kids.set(level,{kids:new Map(),count:0});
			node=node.kids.get(level);
			node.count++;
		}
		node.message=message;
	}
	const walk=(node,path,depth)=>{
		for (const [level,kid] of [...node.kids].sort(([a],[b])=>a<b?-1:1)){
			const at=path+level,opened=isOpen(at,depth)||!!needle;
			rows.push({at,level,depth,count:kid.count,leaf:!kid.kids.size,opened,message:kid.message});
			if (opened) walk(kid,at+"/",depth+1);
		}
	};
	walk(root,"",0);
	return rows;
});
const treeColumns=[
	col("topic",null,{card:"title",class:"mono",width:"55%",cell:row=>h("span",{css:{"padding-left":row.depth*1.1+"rem"}},h("span",{"aria-hidden":"true"},row.leaf?"\u00b7":row.opened?"\u25be":"\u25b8")," ",S(row.level),row.leaf?null:quiet(" ",M.count(row.count)))}),
	col("payload",null,{class:"mono",card:"show",cell:row=>startOf(row.message)}),
];
views.messages=place=>{
	M.watchMessages(true);
	let [kind,at]=place;
	if (kind==="tree") {
		if (!bus.opened.delete(at)) bus.opened.add(at);
		bus.rev++;
		window.history.replaceState(null,"","#/messages");
		ui.route.place=[];
		at=undefined;
	}
	const needle=ui.filters.messages||"",isTree=ui.chips.messages==="tree",state=bus.client?.state;
	const message=kind==="at"?bus.live.find(one=>one.key===at):kind==="topic"?bus.retained.get(at):null;
	const table=isTree?{id:"tree",columns:treeColumns,rows:tree(bus.rev,needle),rowKey:row=>row.at,place:row=>["messages",row.leaf?"topic":"tree",row.at]}
		:{id:"live",columns:liveColumns,rows:liveRows(bus.rev,needle),rowKey:one=>one.key,place:one=>["messages","at",one.key]};
	return listView({
		name:"messages",tall:true,total:isTree?bus.retained.size:bus.live.length,chosen:message?at:undefined,...table,none:M.empty(isTree?T.noRetained:T.noMessages,T.rightsHint),
		before:h("form.bar",{onsubmit:event=>{event.preventDefault();setFilter(event.target.elements.filter.value.trim());}},
			h("label.search.wide",h("span.sr",T.topicFilter),h("input.mono",{name:"filter",id:"topic-filter",init:bus.filter||M.client.base+"#",spellcheck:"false",autocomplete:"off"})),h("button",{type:"submit"},T.subscribe),
			btn(bus.stopped?T.goOn:T.stop,()=>{bus.stopped=!bus.stopped;M.paint();},{"aria-pressed":String(bus.stopped)}),btn(T.clear,()=>{bus.live=[];bus.rev++;M.paint();})),
		chips:[M.chips("messages",T.show,[["",T.live,bus.live.length],["tree",T.retainedTree,bus.retained.size]]),quiet(state==="online"?bus.stopped?T.stopped:T.listening:T.connStates[state])],
		detail:()=>detailPane("message/"+message.key,"messages",h("span.mono.wrap",S(message.topic)),message.retain?h("span.tag",T.retained):null,[
			btn(T.copyPub,()=>M.copy(M.pubCommand(message)),{key:"pub","data-act":"copy-pub"}),btn(T.copyTopic,()=>M.copy(message.topic),{key:"topic"})],
		facts([T.at,local(message.at)],[T.size,T.bytes(M.count(message.payload.length))],[T.flags,`QoS ${message.qos}`]),
		M.rawText(T.payload,shownBody(message),bodyOf(message)),M.rawText(T.asCommand,M.visible(M.pubCommand(message)),M.pubCommand(message)),h("p.quiet",T.asCommandHint)),
	});
};

// The page itself: signing in, the connection, where one is, painting, keys.
"use strict";
// Each view with the key that leads to it and its mark.
const VIEWS={__proto__:null,overview:"o ring",tasks:"t play",schedules:"s clock",executors:"e target",capabilities:"c square",circuits:"i broken",checks:"k check",cost:"$ minus",history:"h dots",messages:"m down"};
const KEYS=Object.fromEntries(Object.entries(VIEWS).map(([view,marks])=>[marks[0],view]));
const PAINT_MS=250,SPEAK_MS=5000,POLL_MS=2000,RESYNC_MS=30000;
const query=new URLSearchParams(location.search);
const root=document.getElementById("app");

M.store=new M.Store();
M.client=null;
ui.access="unknown"; // unknown, commands, reader, silent
ui.route={view:"overview",place:[]};
ui.login={fault:null};

// ---- painting: at most 4 times a second for news, at once for a hand

let dirty=false,frame=0,timer=0,painted=0,acted=-1e9;
const noteHand=()=>{acted=performance.now();};
for (const name of ["click","input","change","keydown","submit"]) addEventListener(name,noteHand,true);
M.paintNow=()=>{
	cancelAnimationFrame(frame);
	clearTimeout(timer);
	frame=timer=0;
	dirty=false;
	painted=performance.now();
	M.patch(root,page());
	M.paints=(M.paints||0)+1;
	M.paintTook=performance.now() - painted;
};
M.paintSoon=()=>{if (!frame) frame=requestAnimationFrame(M.paintNow);};
M.paint=()=>{
	if (document.hidden) {dirty=true;return;}
	if (frame) return;
	const now=performance.now();
	// A slow paint is followed by a longer rest, so that the page stays with its user.
	const rest=Math.max(PAINT_MS,3*(M.paintTook||0));
	if (now - acted<100||now - painted>=rest) return M.paintSoon();
	if (!timer) timer=setTimeout(()=>{timer=0;M.paintSoon();},rest - (now - painted));
};
document.addEventListener("visibilitychange",()=>{keepEvents();if (!document.hidden&&dirty) M.paint();});
setInterval(()=>{if (M.client&&!document.hidden) M.paint();},1000);
M.store.changed=()=>M.paint();

// ---- speaking: one region, at most every 5 s, unless somebody wants it quiet

let spoken=0,waiting=[],speaker=0;
M.say=(words,urgent)=>{
	if (ui.quiet) return;
	waiting.push(words);
	if (waiting.length>3) waiting=waiting.slice(-3);
	if (!speaker) speaker=setTimeout(speak,Math.max(urgent?50:500,spoken+SPEAK_MS - Date.now()));
};
const speak=()=>{speaker=0;spoken=Date.now();ui.spoken=waiting.join(" ");waiting=[];M.paint();};

// ---- the connection

const isOnline=()=>M.client?.state==="online";
const address=()=>{
	const given=query.get("broker");
	if (given) return /^wss?:\/\//.test(given)?given:"ws://"+given;
	return location.host?`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mqtt`:"ws://127.0.0.1:9001/mqtt";
};
// What the browser keeps: the account for this tab, the theme for good; storage may be off.
const stored=(kind,name,value)=>{
	try {
		if (value===undefined) return JSON.parse(window[kind].getItem("martlet."+name));
		window[kind].setItem("martlet."+name,JSON.stringify(value));
	} catch {return null;}
};
const keepAccount=account=>stored("sessionStorage","account",account||null),remembered=()=>O(stored("sessionStorage","account"));
const signIn=({user,password,workspace,broker,keep})=>{
	ui.login.fault=null;
	ui.access="unknown";
	M.store.stop();
	M.store.empty();
	ui.details.clear();
	keepAccount(keep&&{user,password,workspace,broker});
	const version=query.get("mqtt")==="3"?4:5;
	const client=M.client=new M.Client({url:broker,user,password,workspace,version,onState:stateChanged,onMessage:packet=>client===M.client&&hear(packet)});
	const base=client.base;
	client.subscribe("_sys/martlet1/service/+/+","_sys/martlet1/metrics/#",...M.VIEWS.map(view=>base+view),`${base}reply/${user}/#`,`${base}result/${user}/#`,`${base}update/${user}/#`);
	client.open();
};
const signOut=()=>{
	keepAccount();
	M.forgetMessages();
	M.client?.close();
	M.client=null;
	M.store.stop();
	M.store.empty();
	M.paintNow();
};
const stateChanged=(state,why)=>{
	if (state==="online") {
		M.store.begin();
		ui.lostAt=null;
		ui.details.forEach(one=>{one.at=0;});
		M.store.loadedAt=0;
		if (ui.wasOnline) M.say(T.backAgain);
		ui.wasOnline=true;
		ui.hearing=false;
		keepEvents();
		probe();
	}
	if (state==="waiting") {
		if (!ui.lostAt&&ui.wasOnline){ui.lostAt=Date.now();M.say(T.lostNow);}
		ui.lostWhy=why;
	}
	if (state==="refused") {
		const client=M.client;
		ui.login.fault=why==="account"?T.wrongAccount(client.user):T.wrongAddress(client.url);
		keepAccount();
		M.forgetMessages();
		client.close();
		M.client=null;
		ui.wasOnline=false;
	}
	M.paint();
};
// Whether the account may send commands: only the attempt tells.
const probe=async ()=>{
	const client=M.client,answer=await client.command("capability","list","dashboard",{limit:1});
	if (client !==M.client) return;
	ui.access=answer.outcome==="forbidden"?"reader":answer.outcome==="unknown"?"silent":"commands";
	ui.offers=L(dig(answer,"reply.data.items")).length>0;
	M.paint();
};
// The broker does not say that a subscription gets nothing: there are capabilities, and no view of one came.
M.blind=()=>isOnline()&&ui.access==="commands"&&ui.offers&&!M.store.capabilities.size&&!M.store.sweeper?T.blind(M.client.user):null;
M.denied=()=>!isOnline()?T.notConnected:ui.access==="reader"?T.needsRole(M.client.user):null;
const hear=packet=>{
	const levels=packet.topic.split("/");
	if (levels[2]==="result"||levels[2]==="update") runAnswer(levels,packet);
	else M.store.take(packet,M.client.workspace);
};
// Events can be many: they are heard only while the page is seen.
const keepEvents=()=>{
	const wanted=isOnline()&&!document.hidden,filter=M.client?.base+"event/+/+";
	if (wanted&&!ui.hearing){M.client.subscribe(filter);M.refresh("events/");}
	if (!wanted&&ui.hearing&&M.client) M.client.unsubscribe(filter);
	ui.hearing=wanted;
};
const hasTaskEvents=()=>[...M.store.services].some(([key,one])=>key.startsWith("dispatcher/")&&one.state==="up"&&L(one.features).includes("task_events"));
M.keepTasks=()=>{
	const store=M.store;
	if (!isOnline()||store.loading||document.hidden||M.denied()) return;
	const age=Date.now() - (store.loadedAt||0),pause=hasTaskEvents()&&!store.gap&&store.tasksLoaded?RESYNC_MS:Math.max(POLL_MS,5*(store.loadTook||0));
	if (age>pause) store.loadTasks(M.client);
};

// ---- what is asked for a view; asked again when it may have changed

M.detail=(key,ask,{every=0,mark=""}={})=>{
	const one=ui.details.get(key)||{at:0};
	ui.details.set(key,one);
	if (ui.details.size>60) ui.details.delete(ui.details.keys().next().value);
	const age=Date.now() - one.at;
	const due=one.at===0||one.mark!==mark&&age>300||every>0&&age>every||one.answer?.outcome==="unknown"&&age>3000;
	if (due&&!one.asking&&isOnline()&&!document.hidden){
		one.asking=true;
		one.mark=mark;
		ask().then(answer=>{one.asking=false;one.at=Date.now();one.answer=answer;M.paint();});
	}
	return one;
};
M.refresh=prefix=>{for (const [key,one] of ui.details) if (key.startsWith(prefix)) one.at=0;M.store.loadedAt=0;M.paint();};
M.fault=(answer,service)=>{
	const reply=O(answer.reply);
	return h("div.notice",{role:"note"},icon("triangle","warn"),h("div",null,
		answer.outcome==="forbidden"?T.needsRole(M.client?.user):answer.outcome==="unknown"?T.noAnswerOf(service)
			:h("span",M.code(reply.code)," ",S(reply.message)||T.codes[reply.code]||"")));
};

// ---- running something

M.runButton=()=>guarded(T.run,()=>M.openRun(),{class:"primary",act:"run"});
const isName=(text,limit)=>/^[A-Za-z0-9][\w.~-]*$/.test(text)&&text.length<=limit;
M.openRun=(capability="",input,priority="")=>M.openDialog({
	title:T.runTitle,yes:T.runShort,effect:T.runEffect,wide:true,
	fields:[
		{name:"capability",label:T.capability,value:capability,required:true,suggestions:[...M.store.capabilities.keys()].sort()},
		{name:"input",label:T.inputJson,type:"textarea",rows:6,value:input===undefined?"":JSON.stringify(input,null,2)},
		{name:"priority",label:T.priority,type:"select",value:priority,options:[["",T.byCard],...["critical","high","normal","low"].map(name=>[name,name])]},
		{name:"executor",label:T.executor,type:"select",value:"",options:[["",T.anyExecutor],...[...M.store.executors.keys()].sort().slice(0,1000).map(name=>[name,name])]},
		{name:"id",label:T.taskId,value:M.random(14),hint:T.idHint},
	],
	check:values=>{
		if (!isName(values.capability,64)) return T.badCapability;
		if (!isName(values.id,128)) return T.badId;
		if (values.input.trim()){try {JSON.parse(values.input);} catch {return T.badJson;}}
	},
	confirm:values=>{
		const intent={};
		if (values.input.trim()) intent.input=JSON.parse(values.input);
		if (values.priority) intent.priority=values.priority;
		if (values.executor) intent.executor=values.executor;
		sendIntent(values.capability,values.id,JSON.stringify(intent));
	},
});
const runs=new Map();
const sendIntent=async (capability,id,payload)=>{
	const key=capability+"/"+id,client=M.client;
	const run={again:()=>sendIntent(capability,id,payload)};
	runs.set(key,run);
	if (runs.size>100) runs.delete(runs.keys().next().value);
	run.timer=setTimeout(()=>{if (!run.answered) M.reply({tone:"warn",title:T.ranTitle(id),message:T.unknownOutcome,again:run.again});},5000);
	const code=await client.publish(`${client.base}intent/${client.user}/${key}`,payload);
	if (code===0x87){clearTimeout(run.timer);runs.delete(key);M.reply({tone:"bad",title:T.ranTitle(id),code:"permission_denied",message:T.forbidden(client.user)});}
};
const runAnswer=(levels,packet)=>{
	const key=levels[4]+"/"+levels[5],run=runs.get(key);
	if (!run||packet.retain||levels[3]!==M.client.user) return;
	let body;
	try {body=O(JSON.parse(new TextDecoder().decode(packet.payload)));} catch {return;}
	run.answered=true;
	clearTimeout(run.timer);
	const place=["tasks",M.client.user,levels[5]];
	if (levels[2]==="update"){M.reply({tone:"good",title:T.ranTitle(levels[5]),message:T.acceptedAs(T.states[body.state]||S(body.state)),link:place,fades:true});return;}
	runs.delete(key);
	const error=O(body.error),tone=body.status==="success"?"good":"bad";
	M.reply({tone,title:T.ranTitle(levels[5]),code:S(error.code),message:body.status==="success"?T.succeeded(clip(JSON.stringify(body.output)||"",200),duration(N(body.duration_ms))):S(error.message)||T.states[body.status]||S(body.status),link:error.code&&!body.accepted_at?null:place,fades:tone==="good"});
};

// ---- parts of a view

const heading=(title,count,...more)=>h("div.heading",{key:"heading"},h("h1",{tabindex:-1},title,count?h("span.count",count):null),h("span.push",more));
const detailPane=(key,back,title,badge,actions,...body)=>h("aside.detail",{key:"detail-"+key,"aria-labelledby":"detail-title",tabindex:-1},
	h("header",h("div.row",h("h1",{id:"detail-title",tabindex:-1},title),badge,h("a.close",{href:"#/"+back,"aria-label":T.closeDetail},"\u00d7")),
		actions?h("div.actions",{role:"group","aria-label":T.actions},actions):null),h("div.detailbody",body));

// ---- the page

const page=()=>{
	if (!M.client) return login();
	const {view,place}=ui.route;
	let content;
	try {content=views[view](place);} catch (fault) {
		console.error(fault);
		content=h("div.view",{key:"fault"},heading(T[view]),M.empty(T.cannotShow,S(fault.message)));
	}
	return [
		h("a.skip",{key:"skip",href:"#main",onclick:event=>{event.preventDefault();document.querySelector("#main h1")?.focus();}},T.skip),
		topBar(),nav(view),
		h("main",{key:"main",id:"main",class:isOnline()?null:"stale"},staleBanner(),serviceBanner(),content),
		M.repliesView(),M.dialogView(),
		h("div.sr",{key:"status",id:"status",role:"status","aria-live":"polite"},ui.spoken||""),
	];
};
const topBar=()=>{
	const client=M.client,state=client.state;
	const [tone,shape]={online:["good","check"],connecting:["warn","ring"],waiting:["bad","broken"]}[state]||["calm","question"];
	return h("header.top",{key:"top"},
		h("span.brand",brand(),"Martlet"),h("span.workspace",{title:T.workspace},client.workspace),
		h("span.push",null),
		h("span.conn",{class:"tone-"+tone,id:"conn",title:`${client.url} MQTT ${client.version === 5 ? "5" : "3.1.1"}`},icon(shape),h("span",T.connStates[state]||state)),
		h("span.account",{title:T.signedIn},ui.access==="reader"?icon("lock"):null,h("span",client.user||T.anonymous),ui.access==="reader"?h("span.tag",T.readOnly):null),
		h("button.plain",{type:"button",id:"theme","aria-label":T.themeIs(T.themes[theme]),title:T.themeIs(T.themes[theme]),onclick:nextTheme},icon(theme==="dark"?"dots":theme==="light"?"ring":"half")),
		h("button.plain",{type:"button",id:"help","aria-label":T.help,title:T.help+" (?)",onclick:openHelp},icon("question")),
		h("button.plain",{type:"button",onclick:signOut},T.signOut));
};
const brand=()=>h("svg.mark",{viewBox:"0 0 24 24","aria-hidden":"true"},h("path",{d:"M2 9c5-1 8 0 10 3 1-5 4-8 10-9-1 4-3 6-6 7 2 0 3 1 4 2-3 0-5 1-6 3-2 3-4 5-8 6 2-2 3-4 3-6-2-3-4-5-7-6Z"}));
const nav=current=>{
	const open=M.openCircuits(),alerts=M.store.alerts.size;
	const marks={circuits:open?[open,"bad",T.openCircuits]:null,checks:alerts?[alerts,M.alertRows()[0].severity==="critical"?"bad":"warn",T.alerts]:null};
	// On a narrow page the views are one row: the one that is shown is kept in sight.
	const after=element=>{if (element.$view!==current){element.$view=current;element.querySelector("[aria-current]").scrollIntoView({block:"nearest",inline:"center"});}};
	return h("nav",{key:"nav","aria-label":T.viewsLabel,after},h("ul",Object.keys(VIEWS).map(view=>h("li",{key:view},h("a",{href:"#/"+view,"aria-current":view===current?"page":null},
		icon(VIEWS[view].slice(2)),h("span",T[view]),marks[view]?h("span.bubble",{class:"tone-"+marks[view][1]},M.count(marks[view][0]),h("span.sr",marks[view][2])):null)))));
};
const staleBanner=()=>{
	const client=M.client;
	if (client.state==="online"||!ui.lostAt&&client.state==="connecting") return null;
	const wait=Math.max(0,Math.ceil(((client.nextTry||0) - Date.now()) / 1000));
	return h("div.banner",{key:"stale",id:"stale"},icon("broken","bad"),h("span",ui.lostAt?T.staleSince(M.clock(ui.lostAt),M.coarse(Date.now() - ui.lostAt)):T.cannotConnect(client.url)," ",T.lostWhy[client.why]||""," ",client.state==="waiting"?T.nextTry(wait):T.tryingNow),
		h("button.small",{type:"button",onclick:()=>client.open()},T.tryNow));
};
const serviceBanner=()=>{
	if (!isOnline()) return null;
	const down=new Map();
	for (const [key,one] of M.store.services){const name=key.split("/")[0];down.set(name,(down.get(name)??true)&&one.state!=="up");}
	const names=[...down].filter(([,is])=>is).map(([name])=>name);
	if (names.length) return h("div.banner",{key:"down"},icon("cross","bad"),h("span",T.servicesDown(names.join(", "),names.includes("dispatcher"))));
	const words=ui.access==="silent"?T.nobodyAnswers:M.blind();
	return words?h("div.banner",{key:"down"},icon("question","warn"),h("span",words)):null;
};
const login=()=>{
	const before=remembered();
	return h("main.login",{key:"login"},h("form",{
		onsubmit:event=>{
			event.preventDefault();
			const form=event.target.elements,value=name=>form[name].value.trim();
			signIn({user:value("user"),password:form.password.value,workspace:value("workspace")||"main",broker:value("broker"),keep:form.keep.checked});
		},
	},h("h1",brand(),"Martlet"),h("p.quiet",T.loginHint),
	ui.login.fault?h("p.fault",{role:"alert",id:"login-fault"},icon("cross","bad"),ui.login.fault):null,
	h("label",T.user,h("input",{name:"user",autocomplete:"username",init:before.user||"",autofocus:true,required:true,spellcheck:"false"})),
	h("label",T.password,h("input",{name:"password",type:"password",autocomplete:"current-password"})),
	h("label.tick",h("input",{name:"keep",type:"checkbox"}),T.keepSession),
	h("details",h("summary",T.more),h("label",T.broker,h("input",{name:"broker",init:address(),spellcheck:"false",required:true})),h("label",T.workspace,h("input",{name:"workspace",init:query.get("workspace")||"main",spellcheck:"false"}))),
	h("button.primary",{type:"submit"},T.signIn)));
};
const openHelp=()=>M.openDialog({
	title:T.help,wide:true,body:()=>[
		h("table.plain",{key:"keys"},h("caption.sr",T.keysTitle),h("tbody",T.keyHelp.map(([keys,what])=>h("tr",{key:keys},h("th",{scope:"row"},keys.split(" ").map(key=>h("kbd",key))),h("td",what))),
			Object.entries(KEYS).map(([key,view])=>h("tr",{key},h("th",{scope:"row"},h("kbd","g"),h("kbd",key)),h("td",T[view]))))),
		h("p.quiet",{key:"roles"},T.rolesHelp),
		btn(T.speech,()=>{ui.quiet=!ui.quiet;ui.spoken="";M.paint();},{key:"speech",id:"speech","aria-pressed":String(!ui.quiet)})],
});

// ---- theme

const NEXT_THEME={system:"dark",dark:"light",light:"system"};
let theme=stored("localStorage","theme");
if (!(theme in NEXT_THEME)) theme="system";
const showTheme=()=>{if (theme==="system") document.documentElement.removeAttribute("data-theme");else document.documentElement.dataset.theme=theme;};
const nextTheme=()=>{
	theme=NEXT_THEME[theme];
	stored("localStorage","theme",theme);
	showTheme();
	M.paint();
};
showTheme();

// ---- where one is, and keys

const readHash=()=>{
	const parts=location.hash.replace(/^#\/?/,"").split("/").filter(Boolean).map(part=>{try {return decodeURIComponent(part);} catch {return part;}});
	const before=ui.route,view=parts[0] in VIEWS?parts[0]:"overview";
	ui.route={view,place:parts.slice(1)};
	ui.asking=null;
	if (view !=="messages") M.watchMessages(false);
	document.title=`${T[view]} \u00b7 Martlet`;
	M.paintNow();
	// Where the list gives way to the detail, or a key led elsewhere, the focus follows.
	if (before.view!==view&&document.activeElement===document.body) document.querySelector("#main h1")?.focus();
	const pane=document.querySelector(".detail");
	if (pane&&ui.route.place.length&&before.place.join("/")!==ui.route.place.join("/")&&getComputedStyle(document.querySelector(".master")||pane).display==="none") document.getElementById("detail-title")?.focus();
};
addEventListener("hashchange",readHash);
let leader=0;
addEventListener("keydown",event=>{
	if (event.ctrlKey||event.metaKey||event.altKey||!M.client||ui.dialog) return;
	const typing=event.target.matches?.("input, textarea, select");
	if (event.key==="Escape") {
		if (ui.asking){ui.asking=null;M.paintNow();} else if (typing) event.target.blur();
		else if (ui.route.place.length) location.hash="#/"+ui.route.view;
		return;
	}
	if (typing) return;
	if (Date.now() - leader<1500&&KEYS[event.key]){leader=0;event.preventDefault();document.activeElement?.blur?.();location.hash="#/"+KEYS[event.key];return;}
	leader=0;
	const table={messages:ui.chips.messages==="tree"?"tree":"live"}[ui.route.view]||ui.route.view;
	switch (event.key) {
	case "g":leader=Date.now();break;
	case "/":{const box=document.getElementById("filter-"+ui.route.view);if (box){event.preventDefault();box.focus();box.select();} break;}
	case "?":event.preventDefault();openHelp();break;
	case "j":event.preventDefault();M.moveCursor(table,1);break;
	case "k":event.preventDefault();M.moveCursor(table,-1);break;
	}
});
const narrow=matchMedia("(max-width: 479px)");
const shape=()=>{ui.cards=narrow.matches;M.paint();};
narrow.addEventListener("change",shape);
ui.cards=narrow.matches;
addEventListener("resize",()=>M.paint());

const before=remembered();
if (before.user!==undefined&&before.broker) signIn({...before,keep:true});
readHash();

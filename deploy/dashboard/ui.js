// Parts that every view is made of: badges, tables, buttons that ask first, dialogs, charts.
"use strict";

const ui={
	tables:{},filters:{},sorts:{},chips:{},asking:null,dialog:null,replies:[],running:new Map(),
	details:new Map(),forms:{},open:{},cards:false,
};

// 16 by 16; every state has a shape of its own, so that colour is never all there is.
const DISC="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Z",SHAPES={__proto__:null,
	check:DISC+"m-1 10L4 8l1.2-1.2L7 8.6l3.8-3.8L12 6Z",
	cross:"M5 1h6l4 4v6l-4 4H5l-4-4V5Zm.7 3.3L4.3 5.7 6.6 8l-2.3 2.3 1.4 1.4L8 9.4l2.3 2.3 1.4-1.4L9.4 8l2.3-2.3-1.4-1.4L8 6.6Z",
	clock:DISC+"m0 2a5 5 0 1 1 0 10A5 5 0 0 1 8 3Zm-.8 1.5V8.4l2.9 1.9.8-1.2-2.2-1.5V4.5Z",
	slash:DISC+"M3 8a5 5 0 0 1 8-4L4 11a5 5 0 0 1-1-3Zm5 5a5 5 0 0 1-3-1l7-7a5 5 0 0 1-4 8Z",
	minus:"M2 2h12v12H2Zm2.5 5v2h7V7Z",
	ring:DISC+"m0 2.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6Z",
	dots:"M2 6.5h3v3H2Zm4.5 0h3v3h-3Zm4.5 0h3v3h-3Z",
	play:"M3 1.5 14 8 3 14.5Z",
	target:DISC+"m0 2.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6ZM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4Z",
	diamond:"M8 .5 15.5 8 8 15.5.5 8ZM7.2 4v5h1.6V4Zm0 6.2v1.6h1.6v-1.6Z",
	square:"M2 2h12v12H2Zm2 2v8h8V4Z",
	half:DISC+"m0 2v10A5 5 0 0 1 8 3Z",
	broken:"M7 1.1V3A5 5 0 0 0 3 7H1.1A7 7 0 0 1 7 1.1ZM9 1.1A7 7 0 0 1 14.9 7H13a5 5 0 0 0-4-4ZM1.1 9H3a5 5 0 0 0 4 4v1.9A7 7 0 0 1 1.1 9ZM13 9h1.9A7 7 0 0 1 9 14.9V13a5 5 0 0 0 4-4Z",
	triangle:"M8 1 15.5 14.5H.5ZM7.2 5.5v5h1.6v-5Zm0 6v1.6h1.6v-1.6Z",
	pause:"M3 2h3.5v12H3Zm6.5 0H13v12H9.5Z",
	down:"M6 1h4v6h4l-6 8-6-8h4Z",
	question:DISC+"M7.1 11h1.8v1.8H7.1ZM5 6.3C5 4.5 6.3 3.3 8 3.3s3 1.1 3 2.7c0 1.9-2 2.1-2.1 3.9H7.2c0-2.5 2-2.6 2-3.8 0-.6-.5-1-1.2-1s-1.2.4-1.2 1.2Z",
	lock:"M4 7V5a4 4 0 0 1 8 0v2h1v8H3V7Zm2 0h4V5a2 2 0 0 0-4 0Z",
	none:"M4 7.2h8v1.6H4Z",
};
const icon=(name,tone)=>h("svg.icon",{class:tone?"tone-"+tone:undefined,viewBox:"0 0 16 16","aria-hidden":"true",focusable:"false"},
	h("path",{d:SHAPES[name]||SHAPES.question,"fill-rule":"evenodd"}));

const STATES={__proto__:null,
	success:"good check",failed:"bad cross",timeout:"bad clock",canceled:"calm slash",
	rejected:"warn minus",queued:"calm ring",delayed:"calm dots",blocked:"calm square",
	awaiting_approval:"warn diamond",offered:"busy target",running:"busy play",canceling:"warn slash",
	lost:"bad broken",released:"calm down",
	closed:"good check",open:"bad broken",half_open:"warn half",
	ready:"good check",online:"good check",busy:"busy square",degraded:"warn triangle",
	stale:"warn clock",silent:"warn clock",offline:"calm cross",draining:"warn down",
	paused:"calm pause",sleeping:"calm dots",unknown:"calm question",
	active:"good play",disabled:"calm slash",
	ok:"good check",warning:"warn triangle",error:"bad cross",critical:"bad cross",info:"busy target",
	up:"good check",down:"bad cross",none:"calm none",
};
const ORDER=Object.keys(STATES);
const lookOf=state=>(STATES[state]||STATES.unknown).split(" ");
M.tone=state=>lookOf(state)[0];
M.badge=(state,label)=>{
	const [tone,shape]=lookOf(state);
	return h("span.badge",{class:"tone-"+tone},icon(shape),h("span",label||T.states[state]||S(state,T.states.unknown)));
};
M.code=code=>{
	const name=S(code);
	return name?h("span.code",{title:T.codes[name]||null},name):null;
};
M.time=(at,{both}={})=>at?h("time",{datetime:S(at),title:`${local(at)} ${M.zone}\n${M.utc(at)} UTC`},
	both?[local(at)," ",h("span.quiet.number",`(${relative(at)})`)]:relative(at)):h("span.quiet",T.none);
M.link=(place,label,extra)=>h("a",{href:"#/"+place.map(encodeURIComponent).join("/"),...extra},label);
const facts=(...pairs)=>h("dl.facts",pairs.filter(Boolean).filter(([,value])=>value||value===0)
	.map(([name,value])=>h("div",h("dt",name),h("dd",value))));
const mono=(...content)=>h("span.mono",content),quiet=(...content)=>h("span.quiet",content);
const when=at=>at?M.time(at,{both:true}):null;
const dig=(value,path)=>path.split(".").reduce((at,name)=>O(at)[name],value);
const itemsOf=answer=>L(dig(answer,"reply.data.items")).map(O);
// A small table: heads, and rows of [key, cells...]; R puts a cell to the right, and the head above it.
const R=right=>({right});
const isRight=cell=>cell?.right!==undefined;
const grid=(heads,rows)=>h("table.plain",h("thead",h("tr",heads.map((head,n)=>h("th",{scope:"col",class:isRight(rows[0]?.[n+1])?"right":null},head)))),
	h("tbody",rows.map(([key,...cells])=>h("tr",{key},cells.map(cell=>isRight(cell)?h("td.right",cell.right):h("td",cell))))));
const sideways=(label,table)=>h("div.sideways",{tabindex:0,role:"region","aria-label":label},table);
const items=(rows,kind="")=>h("ul.plainlist"+kind,null,rows.map(([key,...content])=>h("li",{key},content)));
// A column of a long table, named by its text: what it sorts by is what it shows, unless a cell says otherwise.
const col=(key,sort,more={})=>({key,label:T[key],sort,cell:row=>S(sort(row),T.none),...more});
const btn=(label,onclick,more)=>h("button",{type:"button",onclick,...more},label);
// A button that does no more than to say why, where the account may not do it.
const guarded=(label,run,more)=>{
	const denied=M.denied();
	return h("button",{type:"button",class:denied?"denied":more?.class,"aria-disabled":denied?"true":null,title:denied,key:"guarded-"+label,"data-act":more?.act,
		onclick:()=>denied?M.reply({tone:"warn",title:label,message:denied}):run()},denied?icon("lock"):null,label);
};
M.empty=(title,hint,extra)=>h("div.empty",h("p",title),hint?h("p.quiet",hint):null,extra);
const panel=(title,...children)=>h("section.panel",title?h("h2",title):null,children);
M.rawText=(label,shown,copied=shown)=>h("div.raw",h("div.rawhead",h("h2",label),btn(T.copy,()=>M.copy(copied),{class:"small","aria-label":T.copyOf(label)})),
	h("pre",{tabindex:0,role:"region","aria-label":label},clip(shown,60000)));
const raw=(label,value)=>value===undefined?null:M.rawText(label,M.json(value));
M.copy=async content=>{
	try {await navigator.clipboard.writeText(content);M.say(T.copied,true);} catch {M.say(T.notCopied,true);}
};

// ---- filters

M.filterBox=(id,label)=>h("label.search",h("span.sr",label),h("input",{
	type:"search",id:"filter-"+id,init:ui.filters[id]||"",placeholder:label,autocomplete:"off",spellcheck:"false",
	oninput:event=>{ui.filters[id]=event.target.value;M.paint();},
}));
M.chips=(id,label,items)=>h("div.chips",{role:"group","aria-label":label},items.map(([value,name,count])=>h("button.chip",{
	type:"button",key:"chip-"+value,"aria-pressed":String((ui.chips[id]||"")===value),
	onclick:()=>{ui.chips[id]=value;M.paint();},
},name,count===undefined?null:h("span.number",M.count(count)))));
const matches=(needle,...texts)=>{
	if (!needle) return true;
	const words=needle.toLowerCase().split(/\s+/).filter(Boolean);
	const all=texts.map(one=>S(one)).join(" ").toLowerCase();
	return words.every(word=>all.includes(word));
};

// ---- tables: only the rows in sight exist

const ROW=34,CARD=83,SPARE=8;
M.table=({id,label,columns,rows,rowKey,place,selected,empty,tall})=>{
	const state=ui.tables[id]=ui.tables[id]||{top:0,height:600,cursor:null};
	const sort=ui.sorts[id];
	const column=sort&&columns.find(one=>one.key===sort.key);
	if (column&&column.sort) {
		const mark=rows,key=sort.key+sort.down;
		if (state.sortedFrom !==mark||state.sortedBy !==key) {
			const way=sort.down?-1:1;
			state.sorted=rows.map(row=>[column.sort(row),row]).sort(([a],[b])=>(a<b?-1:a>b?1:0)*way).map(([,row])=>row);
			state.sortedFrom=mark;
			state.sortedBy=key;
		}
		rows=state.sorted;
	}
	state.rows=rows;
	state.rowKey=rowKey;
	state.place=place;
	const height=ui.cards?CARD:ROW;
	state.rowHeight=height;
	if (!rows.length) return empty||M.empty(T.nothing);
	const first=Math.max(0,Math.min(Math.floor(state.top / height) - SPARE,rows.length - 1));
	const last=Math.min(rows.length,Math.ceil((state.top+state.height) / height)+SPARE);
	const shown=[];
	for (let n=first;n<last;n++) {
		const row=rows[n],key=rowKey(row),href="#/"+place(row).map(encodeURIComponent).join("/");
		const isSelected=key===selected;
		shown.push(h("tr",{
			key,role:"row","aria-rowindex":n+2,"aria-current":isSelected?"true":null,
			css:{height:height+"px"},
			onclick:event=>{if (!event.target.closest("a,button,input")&&!String(getSelection())) location.hash=href;},
		},columns.map((one,at)=>{
			const content=one.cell(row);
			return h("td",{role:"cell",class:one.class,"data-card":one.card,"data-label":one.label},
				at===(columns.link||0)?h("a",{href,"data-row":key},content):content);
		})));
	}
	const space=(name,count)=>count>0?h("tr.space",{key:name,"aria-hidden":"true",css:{height:count*height+"px"}},h("td",{colspan:columns.length})):null;
	return h("div.scroller",{
		key:"table-"+id,class:tall?"tall":null,css:tall?{"min-height":Math.min(220,38+rows.length*height)+"px"}:null,id:"table-"+id,tabindex:0,role:"region","aria-label":label,
		onscroll:event=>{state.top=event.target.scrollTop;M.paintSoon();},
		after:element=>{
			state.element=element;
			const seen=element.clientHeight;
			if (seen&&Math.abs(seen - state.height)>1){state.height=seen;M.paintSoon();}
			if (element.scrollTop!==state.top&&state.top>element.scrollHeight) state.top=element.scrollTop;
		},
	},h("table",{role:"table","aria-label":label,"aria-rowcount":rows.length+1},
		h("thead",{role:"rowgroup"},h("tr",{role:"row","aria-rowindex":1},columns.map(one=>{
			const active=sort?.key===one.key;
			return h("th",{role:"columnheader",scope:"col",class:one.class,"data-card":one.card,"aria-sort":active?sort.down?"descending":"ascending":null,css:one.width?{width:one.width}:null},
				one.sort?h("button",{
					type:"button",onclick:()=>{ui.sorts[id]={key:one.key,down:active?!sort.down:!!one.down};M.paint();},
				},one.label,active?h("span",{"aria-hidden":"true"},sort.down?"\u25be":"\u25b4"):null):one.label);
		}))),
		h("tbody",{role:"rowgroup"},space("space-before",first),shown,space("space-after",rows.length - last))));
};
// j and k: the cursor moves row by row, and the focus with it.
M.moveCursor=(id,step)=>{
	const state=ui.tables[id];
	if (!state?.rows?.length) return;
	const here=document.activeElement?.dataset?.row??state.cursor;
	const at=state.rows.findIndex(row=>state.rowKey(row)===here);
	const next=Math.max(0,Math.min(state.rows.length - 1,at<0?0:at+step));
	const key=state.rowKey(state.rows[next]);
	state.cursor=key;
	const element=state.element;
	if (element) {
		const top=next*state.rowHeight;
		if (top<element.scrollTop) element.scrollTop=top;
		else if (top+3*state.rowHeight>element.scrollTop+element.clientHeight) element.scrollTop=top+3*state.rowHeight - element.clientHeight;
		state.top=element.scrollTop;
	}
	M.paintNow();
	element?.querySelector(`[data-row="${CSS.escape(key)}"]`)?.focus({preventScroll:true});
};

// A list with its filter, and beside it what is chosen in it.
const listView=({name,total,chosen,detail,buttons,before,after,chips,head,none,...table})=>h("div.split",{key:"split-"+name,class:chosen===undefined?null:"open"},
	h("div.view.master",{key:name},heading(T[name],M.count(total),buttons),before,
		h("div.bar",M.filterBox(name,T.filters[name]),chips),head,
		M.table({id:name,label:T[name],selected:chosen,...table,empty:total?M.empty(T.noMatch,T.noMatchHint):M.blind()&&M.store[name]!==M.store.tasks?M.empty(T.notReadable,M.blind()):none}),after),
	chosen===undefined?null:detail());

// ---- actions

const act=(noun,verb,id,label,more)=>M.action({noun,verb,id,label,ask:"place",...more});
// One action: a button that asks in place or by a dialog, sends a command and shows its reply.
// action: {noun, verb, id, payload, label, ask: "none" | "place" | "dialog", danger, effect, fields, done}
const keyOf=action=>[action.noun,action.verb,action.id,action.payload?.executor||"",action.label].join("/");
M.action=action=>{
	const key=keyOf(action),sending=ui.running.get(key),denied=M.denied();
	if (ui.asking===key) {
		return h("span.ask",{key:"ask-"+key,role:"group","aria-label":action.label},
			h("button.small.primary",{
				type:"button",id:"yes",onclick:()=>{ui.asking=null;M.perform(action);},
			},T.yes(action.label)),
			h("button.small",{type:"button",onclick:()=>{ui.asking=null;M.paint();}},T.no));
	}
	return h("button",{
		key:"do-"+key,type:"button",class:(action.danger?"danger":"")+(denied?" denied":"")+(action.small?" small":""),
		"aria-disabled":denied||sending?"true":null,title:denied||null,"data-act":`${action.noun}.${action.verb}`,
		onclick:()=>{
			if (denied){M.reply({tone:"warn",title:action.label,message:denied});return;}
			if (sending) return;
			if (action.ask==="dialog") M.askDialog(action);
			else if (action.ask==="none") M.perform(action);
			else {ui.asking=key;M.paintNow();document.getElementById("yes")?.focus();}
		},
	},denied?icon("lock"):null,sending?T.sending:action.label);
};
M.askDialog=action=>M.openDialog({
	title:action.label,name:action.id,effect:action.effect,danger:action.danger,fields:action.fields||[],yes:action.label,
	confirm:values=>{
		const payload={...action.payload};
		for (const field of action.fields||[]) {
			const value=field.read?field.read(values[field.name]):values[field.name]||undefined;
			if (value !==undefined) payload[field.name]=value;
		}
		M.perform({...action,payload});
	},
});
M.perform=async action=>{
	const key=keyOf(action);
	if (ui.running.has(key)) return;
	ui.running.set(key,true);
	M.paint();
	const answer=await M.client.command(action.noun,action.verb,action.id,action.payload||{});
	ui.running.delete(key);
	const what=`${action.label}: ${action.shown || action.id}`;
	const again=()=>M.perform(action);
	if (answer.outcome==="ok") {
		M.reply({tone:"good",title:what,message:M.replyText(action,O(answer.reply)),data:answer.reply.data,fades:true});
	} else if (answer.outcome==="refused") {
		const reply=O(answer.reply);
		M.reply({
			tone:"bad",title:what,code:S(reply.code),message:S(reply.message)||T.codes[reply.code]||"",
			hint:reply.retry==="no"?T.retryNo:reply.retry==="after"?T.retryAfter(duration(N(reply.retry_after_ms))):T.retrySame,
			again:reply.retry==="no"?null:again,
		});
	} else if (answer.outcome==="forbidden") {
		M.reply({tone:"bad",title:what,code:"permission_denied",message:T.forbidden(M.client.user)});
	} else {
		M.reply({tone:"warn",title:what,message:T.unknownOutcome,again});
	}
	action.done?.(answer);
	M.paint();
};
M.replyText=(action,reply)=>{
	const data=O(reply.data);
	if (typeof data.task==="string"&&action.verb!=="approve"&&action.verb!=="assign") return T.replyTask(S(data.task));
	if (typeof data.state==="string") return T.replyState(T.states[data.state]||S(data.state));
	return T.replyOk;
};
M.reply=reply=>{
	reply.id=M.random(6);
	reply.at=Date.now();
	ui.replies.unshift(reply);
	ui.replies.length=Math.min(ui.replies.length,5);
	M.say(`${reply.title}. ${reply.code ? reply.code + ". " : ""}${reply.message || ""}`,true);
	if (reply.fades) setTimeout(()=>M.dismiss(reply),8000);
	M.paint();
};
M.dismiss=reply=>{ui.replies=ui.replies.filter(one=>one!==reply);M.paint();};
M.repliesView=()=>h("section.replies",{key:"replies","aria-label":T.replies,hidden:!ui.replies.length},ui.replies.map(reply=>h("div.reply",{key:reply.id,class:"edge-"+reply.tone},
	icon({good:"check",bad:"cross",warn:"triangle"}[reply.tone],reply.tone),
	h("div",h("p.replytitle",clip(reply.title,120)),
		h("p",reply.code?[M.code(reply.code)," "]:null,clip(reply.message||"",400)),
		reply.hint?h("p.quiet",reply.hint):null,
		reply.link?M.link(reply.link,T.show):null,
		reply.again?h("button.small",{type:"button",onclick:()=>{M.dismiss(reply);reply.again();}},T.repeat):null),
	h("button.small.plain",{type:"button","aria-label":T.dismiss,onclick:()=>M.dismiss(reply)},"\u00d7"))));

// ---- dialog

M.openDialog=dialog=>{ui.dialog=dialog;dialog.values=Object.fromEntries((dialog.fields||[]).map(field=>[field.name,field.value??""]));M.paintNow();};
M.closeDialog=()=>{ui.dialog=null;M.paintNow();};
const field=(dialog,one)=>{
	const id="field-"+one.name,common={id,key:id,name:one.name,"aria-describedby":one.hint?id+"-hint":null,
		oninput:event=>{dialog.values[one.name]=event.target.type==="checkbox"?event.target.checked:event.target.value;dialog.fault=null;}};
	const input=one.type==="select"
		?h("select",{...common,init:one.value??""},one.options.map(([value,name])=>h("option",{value,selected:value===(one.value??"")},name)))
		:one.type==="textarea"?h("textarea",{...common,rows:one.rows||5,init:one.value??"",spellcheck:"false"})
			:one.type==="checkbox"?h("input",{...common,type:"checkbox"})
				:h("input",{...common,type:one.type||"text",init:one.value??"",required:one.required,list:one.suggestions?id+"-list":null,autocomplete:"off",spellcheck:"false"});
	return h("div.field",{key:"row-"+one.name,class:one.type==="checkbox"?"tick":null},h("label",{for:id},one.label),input,
		one.suggestions?h("datalist",{id:id+"-list"},one.suggestions.slice(0,500).map(value=>h("option",{value}))):null,
		one.hint?h("p.quiet",{id:id+"-hint"},one.hint):null);
};
M.dialogView=()=>{
	const dialog=ui.dialog;
	return h("dialog",{
		key:"dialog",id:"dialog","aria-labelledby":"dialog-title",class:dialog?.wide?"wide":null,
		oncancel:event=>{event.preventDefault();M.closeDialog();},
		onclick:event=>{if (event.target.id==="dialog") M.closeDialog();},
		after:element=>{
			if (dialog&&!element.open) element.showModal();
			if (!dialog&&element.open) element.close();
		},
	},dialog?h("form",{
		key:dialog.title,method:"dialog",novalidate:true,
		onsubmit:event=>{
			event.preventDefault();
			if (!dialog.confirm) return M.closeDialog();
			const fault=dialog.check?.(dialog.values);
			if (fault) {dialog.fault=fault;return M.paintNow();}
			ui.dialog=null;
			dialog.confirm(dialog.values);
			M.paintNow();
		},
	},h("h2",{id:"dialog-title"},dialog.title,dialog.name?[" ",h("span.mono",dialog.name)]:null),
		dialog.effect?h("p",dialog.effect):null,dialog.body?.(),
		(dialog.fields||[]).map(one=>field(dialog,one)),
		dialog.fault?h("p.fault",{role:"alert"},icon("triangle","bad"),dialog.fault):null,
		h("div.row.end",null,
			dialog.confirm?h("button",{type:"button",onclick:M.closeDialog},T.back):null,
			h("button",{type:"submit",class:dialog.danger?"danger filled":"primary","data-confirm":""},dialog.yes||T.close))):null);
};

// ---- charts

const points=(values,width,height,top)=>values.map((value,n)=>[values.length<2?0:n*width / (values.length - 1),height - 2 - (top?value / top:0)*(height - 6)]);
// Lines over an area, with their last value in words for those who do not see them.
M.lineChart=(label,series)=>{
	const width=600,height=72,top=Math.max(1e-9,...series.flatMap(one=>one.values));
	return h("svg.chart",{viewBox:`0 0 ${width} ${height}`,preserveAspectRatio:"none",role:"img","aria-label":label},
		[0.25,0.5,0.75].map(part=>h("line.grid",{x1:0,x2:width,y1:height*part,y2:height*part})),
		series.map(one=>{
			const line=points(one.values,width,height,top).map(([x,y])=>`${x.toFixed(1)} ${y.toFixed(1)}`);
			return h("g",{class:"line-"+one.tone},one.fill?h("path.area",{d:`M0 ${height}L${line.join("L")}L${width} ${height}Z`}):null,
				h("path.stroke",{d:"M"+line.join("L"),"vector-effect":"non-scaling-stroke"}));
		}));
};
// Columns of [first, second], the second on top.
M.columnChart=(label,columns)=>{
	const top=Math.max(1,...columns.map(([first,second])=>first+second)),step=600 / columns.length,width=Math.min(60,step*0.8);
	return h("svg.chart",{viewBox:"0 0 600 72",preserveAspectRatio:"none",role:"img","aria-label":label},columns.map(([first,second],n)=>{
		const x=n*step+(step - width) / 2,low=70*first / top,high=70*second / top;
		return [h("rect.first",{x,y:72 - low,width,height:low}),h("rect.second",{x,y:72 - low - high,width,height:high})];
	}));
};
// A bar of two parts, in hundredths of its length.
M.bar=(first,second)=>h("svg.share",{viewBox:"0 0 100 8",preserveAspectRatio:"none","aria-hidden":"true"},h("rect.first",{width:first,height:8}),h("rect.second",{x:first,width:second,height:8}));
M.meter=(used,of,short,shown=String)=>{
	const part=used?Math.min(1,used / Math.max(1,of)):0;
	return h("span.meter",h("span.track",{"aria-hidden":"true"},h("span",{class:short?"short":null,css:{width:`${part * 100}%`}})),h("span.number",`${shown(used)}/${shown(of)}`));
};

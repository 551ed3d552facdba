// Elements from plain descriptions, put right in place: what stays keeps its focus, scroll position and selection.
// Text only ever becomes a text node, and attributes are set one by one: nothing from the network is read as markup.
"use strict";
const SVG="http://www.w3.org/2000/svg";
const PLAIN=new Set(["value","checked","disabled","open","hidden","selected","indeterminate"]);

// h("div.name", {attributes}, children...): strings and numbers are text, null and false nothing, lists are flat.
const h=(tag,attributes,...children)=>{
	const [name,...classes]=tag.split(".");
	const given=attributes&&typeof attributes==="object"&&!attributes.children&&!Array.isArray(attributes);
	const a=given?{...attributes}:{};
	if (!given) children.unshift(attributes);
	if (classes.length) a.class=classes.join(" ")+(a.class?" "+a.class:"");
	return {name,a,key:a.key,children:flat(children,[])};
};
const flat=(list,out)=>{
	for (const child of list) {
		if (child===null||child===undefined||child===false||child===true) continue;
		if (Array.isArray(child)) flat(child,out);
		else out.push(typeof child==="object"?child:String(child));
	}
	return out;
};

const create=(node,parent)=>{
	if (typeof node==="string") return document.createTextNode(node);
	const svg=node.name==="svg"||parent.namespaceURI===SVG&&parent.localName!=="foreignObject";
	const element=svg?document.createElementNS(SVG,node.name):document.createElement(node.name);
	element.$key=node.key;
	update(element,node);
	if (node.a.init !==undefined) element.value=node.a.init;
	return element;
};
const update=(element,node)=>{
	const before=element.$a||{},after=node.a;
	for (const name in before) if (!(name in after)) set(element,name,null,before[name]);
	for (const name in after) if (after[name]!==before[name]) set(element,name,after[name],before[name]);
	element.$a=after;
	patch(element,node.children);
	after.after?.(element);
};
const set=(element,name,value,before)=>{
	if (name==="key"||name==="init"||name==="after") return;
	if (name.startsWith("on")) {element[name]=value;return;}
	if (name==="css") {
		for (const property in before||{}) if (!value||!(property in value)) element.style.removeProperty(property);
		for (const property in value||{}) {
			if (!before||before[property]!==value[property]) element.style.setProperty(property,value[property]);
		}
		return;
	}
	if (PLAIN.has(name)) {element[name]=value??"";return;}
	if (value===null||value===undefined||value===false) element.removeAttribute(name);
	else element.setAttribute(name,value===true?"":value);
};

const fits=(element,node)=>typeof node==="string"?element.nodeType===3
	:element.nodeType===1&&element.localName===node.name&&element.$key===node.key;

// Makes the children of an element those that are described.
const patch=(parent,nodes)=>{
	let keyed=null;
	const wanted=new Set();
	for (const node of nodes) if (node.key!==undefined) wanted.add(node.key);
	for (let child=parent.firstChild;child;) {
		const next=child.nextSibling;
		if (child.$key !==undefined) {
			if (wanted.has(child.$key)) (keyed=keyed||new Map()).set(child.$key,child);
			else child.remove();
		}
		child=next;
	}
	let at=parent.firstChild;
	for (const node of nodes) {
		let element=node.key!==undefined?keyed?.get(node.key):at;
		if (element&&node.key===undefined&&element.$key!==undefined) element=null;
		if (element&&fits(element,node)) {
			if (element===at) at=at.nextSibling;else parent.insertBefore(element,at);
			if (typeof node==="string"){if (element.data!==node) element.data=node;} else update(element,node);
		} else {
			parent.insertBefore(create(node,parent),at);
			if (element&&element===at&&node.key===undefined){at=at.nextSibling;element.remove();}
		}
	}
	while (at){const next=at.nextSibling;at.remove();at=next;}
};

// The same for the root, with the focus where it was.
M.patch=(root,nodes)=>{
	const focused=document.activeElement;
	patch(root,flat([nodes],[]));
	if (focused&&focused!==document.activeElement&&focused.isConnected&&root.contains(focused)){
		focused.focus({preventScroll:true});
	}
};

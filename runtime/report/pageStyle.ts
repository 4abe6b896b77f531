// The style of report pages: light or dark as the reader's system is, light on paper; no font, script or
// file from outside. Colours are those of Okabe and Ito, which people with any colour vision tell apart.

/** The colours of a scheme, as CSS variables. */
const LIGHT = `--paper:#fff;--ground:#f5f6f8;--ink:#1f2328;--muted:#59636e;--grid:#e3e6ea;--bar:#d3dae3;
--c1:#0072b2;--c2:#c04a00;--c3:#007a5a;--c4:#a8327e;--c5:#8a6d00;--c6:#2b8fc9;--c7:#4d4d4d;
--hit:0,114,178;--miss:213,94,0;`;
const DARK = `--paper:#1b1f24;--ground:#121519;--ink:#e6eaef;--muted:#9aa5b1;--grid:#323941;--bar:#3d4650;
--c1:#56b4e9;--c2:#f0914a;--c3:#2fc9a0;--c4:#dd8fbd;--c5:#e3c34f;--c6:#8fd0ff;--c7:#c7ced6;
--hit:86,180,233;--miss:240,145,74;`;

export const PAGE_STYLE = `
:root{color-scheme:light dark;${LIGHT}}
@media screen and (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Open Sans",Arial,sans-serif}
main{max-width:1320px;margin:0 auto;padding:20px 24px 60px}
h1{font-size:26px;margin:4px 0 2px;overflow-wrap:anywhere}
h2{font-size:20px;margin:34px 0 10px;padding-bottom:4px;border-bottom:1px solid var(--grid);
overflow-wrap:anywhere}
h2 small{font-weight:400;color:var(--muted);font-size:14px;margin-left:8px}
h3{font-size:16px;margin:22px 0 8px}
p{margin:6px 0}
.lead,.note,.path,.empty,small{color:var(--muted)}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:10px 0 0;font-size:14px}
a{color:var(--c1)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:16px 0}
.fact{background:var(--paper);border:1px solid var(--grid);border-radius:8px;padding:10px 14px}
.fact b{display:block;font-size:20px;line-height:1.25;overflow-wrap:anywhere}
.fact span{color:var(--muted);font-size:13px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(380px,100%),1fr));gap:14px;
align-items:stretch}
.wide{grid-column:1/-1}
figure{margin:0;background:var(--paper);border:1px solid var(--grid);border-radius:8px;padding:12px 14px;
min-width:0}
figcaption{margin-bottom:6px}
figcaption b{display:block;overflow-wrap:anywhere}
figcaption .note{display:block;font-size:13px}
.chart svg{display:block;width:100%;height:auto}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12.5px;margin-top:4px}
.key{display:inline-flex;align-items:center;gap:6px;overflow-wrap:anywhere;min-width:0}
.key svg{flex:none}
.scroll{overflow:auto;max-height:480px}
.two table:not(.matrix),.wide table:not(.matrix){min-width:min(100%,640px)}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:3px 10px 3px 0;text-align:left;vertical-align:top}
thead th{position:sticky;top:0;background:var(--paper);color:var(--muted);font-weight:600;
border-bottom:1px solid var(--grid);white-space:nowrap}
tbody tr+tr td,tbody tr+tr th{border-top:1px solid var(--grid)}
.r{text-align:right}
section>*+*{margin-top:14px}
section>h2+*{margin-top:0}
@media(min-width:860px){.two{grid-column:span 2}}
pre.spec{columns:280px;column-gap:28px}
td.share{background:linear-gradient(var(--c1),var(--c1)) no-repeat left bottom/var(--p) 3px;

min-width:64px}
td.long{overflow-wrap:anywhere;white-space:normal}
td.best{font-weight:700}
table.matrix{font-size:12px;border-spacing:0}
table.matrix td,table.matrix tbody th,table.matrix thead th{border:0;padding:0}
table.matrix tbody td{width:14px;min-width:14px;height:14px;text-align:center;vertical-align:middle;
border:1px solid var(--paper);background:var(--ground)}
table.matrix.numbered tbody td{min-width:34px;height:26px;padding:0 4px}
table.matrix tbody th{font-weight:400;text-align:right;padding-right:8px;white-space:nowrap;max-width:180px;
overflow:hidden;text-overflow:ellipsis;vertical-align:middle}
table.matrix thead th{height:1px;vertical-align:bottom;font-weight:400;border:0}
table.matrix thead th span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:150px;
overflow:hidden;
text-overflow:ellipsis;white-space:nowrap;padding-top:4px;display:inline-block}
table.matrix tbody td.hit{background:rgba(var(--hit),calc(.1 + .9*var(--s)))}
table.matrix tbody td.miss{background:rgba(var(--miss),calc(.1 + .9*var(--s)))}
table.matrix td.hit.most{color:#fff}
@media screen and (prefers-color-scheme:dark){table.matrix td.much{color:#12151a}
table.matrix td.hit.most{color:#12151a}}
table.matrix td.diagonal{outline:1px dashed var(--grid);outline-offset:-2px}
.matrix-picture{width:100%;max-width:512px;image-rendering:pixelated;background:var(--ground);display:block}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(118px,1fr));gap:12px}
.card{font-size:12.5px;line-height:1.35;overflow-wrap:anywhere;min-width:0}
.card img,.gone{display:block;width:100%;height:112px;object-fit:contain;background:var(--ground);
border-radius:6px;
margin-bottom:4px}
.gone{display:grid;place-items:center;color:var(--muted)}
.right{color:var(--c3)}
.wrong{color:var(--c2)}
.path{font-size:11.5px;overflow-wrap:anywhere}
.two>figure,.wide>figure{height:100%}
.pictures{display:grid;gap:14px}
.picture img{max-width:100%;height:auto;display:block}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;
font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,
monospace}
ul.warnings{margin:6px 0;padding-left:20px}
ul.warnings li{overflow-wrap:anywhere}
footer{margin-top:40px;color:var(--muted);font-size:13px}
@media print{body{background:#fff;font-size:11px}main{max-width:none;padding:0}
figure,.fact,.card,tr{break-inside:avoid}
h2,h3{break-after:avoid}nav{display:none}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.scroll{overflow:visible;max-height:none}}
`;

// A whole page: one file without scripts, which asks nothing of any server and may be opened, sent and
// printed.
import { REPORT_HEAD } from "../runs/reportMark.ts";
import { Html, html } from "./html.ts";
import { PAGE_STYLE } from "./pageStyle.ts";

/** A part of a page that its head leads to. */
export interface PageSection {
  readonly id: string;
  readonly title: string;
  readonly content: Html;
}

export interface PageContent {
  readonly title: string;
  /** What the page is about, under its title. */
  readonly lead: Html;
  readonly sections: readonly PageSection[];
  readonly footer: string;
}

/** The page as text. Its policy lets a browser load nothing but what lies in it. */
export function pageText({ title, lead, sections, footer }: PageContent): string {
  const policy =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
  const links = sections.map(({ id, title: name }) => html`<a href="#${id}">${name}</a>`);
  const page = html`<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${Html.trusted(PAGE_STYLE)}</style></head>
<body><main><header><h1>${title}</h1><div class="lead">${lead}</div><nav>${links}</nav></header>
${sections.map(({ content }) => content)}
<footer>${footer}</footer></main></body></html>
`;
  return REPORT_HEAD + page.text;
}

/** A section with a heading. */
export function section(id: string, title: string, content: Html): PageSection {
  return { id, title, content: html`<section id="${id}"><h2>${title}</h2>${content}</section>` };
}

// Pages from values: whatever a text holds, it stays text.
import { expect, test } from "vitest";
import { dataUri, Html, html, lines } from "../../runtime/report/html.ts";
import { pageText, section } from "../../runtime/report/page.ts";

const NASTY = `<script>alert("1")</script> & 'x' \u202e\u0007`;

test("values are escaped in text and in attributes, HTML is not; lists are joined, undefined is nothing", () => {
  const inner = html`<b title="${NASTY}">${NASTY}</b>`;
  const escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; \\u202e\\u0007";
  expect(inner.text).toBe(`<b title="${escaped}">${escaped}</b>`);
  expect(html`<p>${[inner, undefined, 3, ["<", [">"]]]}</p>`.text).toBe(`<p>${inner.text}3&lt;&gt;</p>`);
  expect(html`${Html.trusted("<i>")}`.text).toBe("<i>");
});

test("lines stay lines, and what would be obeyed in them is shown", () => {
  expect(lines("a: <b>\nc: \u001b[31m\n").text).toBe("a: &lt;b&gt;\nc: \\u001b[31m\n");
});

test("a picture is a value of src", () => {
  expect(dataUri("image/png", Uint8Array.of(1, 2, 3)).text).toBe("data:image/png;base64,AQID");
});

test("a page has a policy that loads nothing, and begins as ours do", () => {
  const page = pageText({
    title: NASTY,
    lead: html`${NASTY}`,
    sections: [section("a", NASTY, html`x`)],
    footer: NASTY,
  });
  expect(page.startsWith("<!doctype html>\n<!-- a report by mttc -->\n")).toBe(true);
  expect(page).not.toMatch(/<script|https?:|<link|@import|url\(/i);
  expect(page).toContain("default-src &#39;none&#39;");
});

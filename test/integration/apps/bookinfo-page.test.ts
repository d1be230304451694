import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { renderPage } from "../../apps/bookinfo-page.ts";
import type { PageParts } from "../../apps/bookinfo-page.ts";

const details: PageParts["details"] = {
  value: { cluster: "cluster2", author: "William Shakespeare", year: 1595, pages: 200, publisher: "PublisherA", language: "English" },
};

function page(stars: string, count?: number): string {
  const review = { reviewer: "Reviewer1", text: "good", ...(count === undefined ? {} : { stars: count }) };
  return renderPage({ cluster: "cluster1", details, reviews: { value: { version: "v2", cluster: "cluster2", stars, reviews: [review] } } });
}

suite("Bookinfo's page", () => {
  test("says which cluster served each part, in that cluster's colour", () => {
    const html = page("black", 4);
    for (const part of [
      '<header class="cluster1">',
      "productpage in cluster1",
      '<section class="cluster2"><h2>Book details',
      "details in cluster2",
      "reviews v2 in cluster2: black stars",
    ])
      assert.ok(html.includes(part), part);
  });

  // What a rating looks like; none for v1, and never more than there is room for.
  const cases: readonly [stars: string, count: number | undefined, shown: string | undefined][] = [
    ["no", undefined, undefined],
    ["black", 4, '<span class="stars black" title="4 of 5">★★★★☆</span>'],
    ["red", 5, '<span class="stars red" title="5 of 5">★★★★★</span>'],
    ["red", 900, '<span class="stars red" title="900 of 5">★★★★★</span>'],
  ];
  for (const [stars, count, shown] of cases) {
    test(`shows ${count ?? "no"} stars as ${stars} ones`, () => {
      const html = page(stars, count);
      assert.equal(/<span class="stars.*?<\/span>/.exec(html)?.[0], shown);
    });
  }

  test("shows why a part is missing, and nothing that a service says becomes markup", () => {
    const html = renderPage({ cluster: "<i>", details, reviews: { problem: "reviews: 503 <script>" } });
    assert.match(html, /not available: reviews: 503 &#60;script&#62;/);
    assert.ok(!html.includes("<script") && !html.includes("<i>"));
  });
});

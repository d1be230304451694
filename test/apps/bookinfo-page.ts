// What Bookinfo's page looks like: who served which part of it, from which cluster, in that cluster's colour.

/** What another service said, or one line that says why it said nothing. */
export type Answer<T> = { readonly value: T } | { readonly problem: string };

/** What `details` answers. */
export interface Details {
  readonly cluster: string;
  readonly author: string;
  readonly year: number;
  readonly pages: number;
  readonly publisher: string;
  readonly language: string;
}

/** What `reviews` answers. */
export interface Reviews {
  readonly version: string;
  readonly cluster: string;
  /** The colour of the stars: no, black or red. */
  readonly stars: string;
  readonly reviews: readonly { readonly reviewer: string; readonly text: string; readonly stars?: number }[];
}

/** What goes onto the page. */
export interface PageParts {
  /** Where the page itself was made. */
  readonly cluster: string;
  readonly details: Answer<Details>;
  readonly reviews: Answer<Reviews>;
}

/** The most stars that a book can get. */
const mostStars = 5;

const style = `
  :root { --cluster1: #1565c0; --cluster2: #c25a00; color-scheme: light }
  * { box-sizing: border-box }
  body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #1c1c1e; background: #f4f5f7 }
  header { padding: 2.5rem 0; color: #fff; background: var(--here) }
  header div, main { max-width: 58rem; margin: 0 auto; padding: 0 1rem }
  h1 { margin: 0; font-size: 2rem; font-weight: 650 }
  h2 { margin: 0 0 .75rem; font-size: 1.1rem }
  main { display: grid; gap: 1rem; grid-template-columns: 1fr 2fr; padding: 1.5rem 1rem }
  section { padding: 1.25rem; background: #fff; border-radius: 10px; border-top: 4px solid var(--here, #9a9a9f); box-shadow: 0 1px 3px #0002 }
  .cluster1 { --here: var(--cluster1) } .cluster2 { --here: var(--cluster2) }
  .served { margin: 1rem 0 0; font-size: .85rem; color: var(--here, #55555a) }
  dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0 } dt { color: #6a6a70 } dd { margin: 0 }
  blockquote { margin: 0 0 1rem; padding-left: 1rem; border-left: 3px solid #e2e2e6 } cite { color: #6a6a70 }
  .stars { display: block; font-size: 1.4rem; letter-spacing: .1em } .stars.black { color: #1c1c1e } .stars.red { color: #d3122a }
  .missing { color: #a3122a }
  @media (max-width: 42rem) { main { grid-template-columns: 1fr } }
`;

/** The page as HTML. */
export function renderPage({ cluster, details, reviews }: PageParts): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Bookinfo in ${escape(cluster)}</title><style>${style}</style></head>
<body>
<header class="${escape(cluster)}"><div><h1>The Comedy of Errors</h1>productpage in ${escape(cluster)}</div></header>
<main>
${part("Book details", details, renderDetails)}
${part("Book reviews", reviews, renderReviews)}
</main>
</body>
</html>
`;
}

function part<T extends { readonly cluster: string }>(title: string, answer: Answer<T>, render: (value: T) => string): string {
  if ("problem" in answer) return `<section><h2>${title}</h2><p class="missing">not available: ${escape(answer.problem)}</p></section>`;
  return `<section class="${escape(answer.value.cluster)}"><h2>${title}</h2>${render(answer.value)}</section>`;
}

function renderDetails({ cluster, author, year, pages, publisher, language }: Details): string {
  const rows = Object.entries({ Author: author, Year: year, Pages: pages, Publisher: publisher, Language: language });
  const list = rows.map(([name, value]) => `<dt>${name}</dt><dd>${escape(String(value))}</dd>`).join("");
  return `<dl>${list}</dl><p class="served">details in ${escape(cluster)}</p>`;
}

function renderReviews({ version, cluster, stars, reviews }: Reviews): string {
  const quotes = reviews.map(({ reviewer, text, stars: count }) => {
    const shown =
      count === undefined ? "" : `<span class="stars ${escape(stars)}" title="${count} of ${mostStars}">${starsOf(count)}</span>`;
    return `<blockquote>${escape(text)} <cite>${escape(reviewer)}</cite>${shown}</blockquote>`;
  });
  return `${quotes.join("")}<p class="served">reviews ${escape(version)} in ${escape(cluster)}: ${escape(stars)} stars</p>`;
}

function starsOf(count: number): string {
  const filled = Math.max(0, Math.min(mostStars, Math.trunc(count)));
  return "★".repeat(filled) + "☆".repeat(mostStars - filled);
}

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

"""Pages out of web archives, by the day of each link's submission: Common Crawl by its index, the Wayback Machine by its servers.

- `surt`: the keys by which archives sort URLs; `cdxj`, `columnar`: their two kinds of index files; `index_files` finds those.
- `choose`: which capture of a page is that of the day.
- `lookups`, `match`, `rounds`: the join of millions of links with an index, and what is read of the archive after it.
- `ranges`, `records`: which byte ranges of WARC files are read, and what their records hold.
- `service`, `rate`: a polite client of an archive's servers, whose rate all workers of a machine share.
- `wayback`, `replay`: archives that answer one link at a time, by the CDX server API or Memento (RFC 7089).
- `chain`: the sources of pages, one after another, until one gives a link's page.
"""

"""The stage `pages`: links to pages in WARC files.

Modules for other rooms of the pipeline:

- `stage`: the stage's command; `settings`: its flags.
- `transform`: `Fetch`, the stage's crawl as a transform for any Beam pipeline.
- `warc_reader`: reads records and bodies of WARC files; it needs no HTTP client.
- `media`: media type and charset of a body.
- `latencies`: names of the ranges in which run.json counts request times.

Everything else is internal: network (`client`, `transport`, `resolver`, `addresses`, `ports`, `deadlines`, `header_parser`,
`decoding`, `http_response`, `failures`), crawl (`crawl`, `frontier`, `politeness`, `robots`, `robots_cache`, `retry`, `cookies`,
`outcomes`), the work of a part (`fetch`, `share`, `journal`, `output`, `warc_writer`) and archives in place of the web
(`archives`, `archive_files`, `archive_index`, `archive_members`, `archive_spans`, `archive_unpacking`, `wacz`).
"""

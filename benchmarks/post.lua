-- What wrk sends: the article's call, with the id that a router would give it.
wrk.method = "POST"
wrk.body = '{"v":1}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Request-ID"] = "9c248150-03ac-4b24-b5a7-f7c1f0fb05ed"

-- wrk: POST the small event that every server under comparison answers
wrk.method = "POST"
wrk.body = '{"name":"Neo","items":[1,2,3]}'
wrk.headers["Content-Type"] = "application/json"

-- wrk: asynchronous calls of 32 functions by turns, so that no function's queue fills up
wrk.method = "POST"
wrk.body = '{"name":"Neo","items":[1,2,3]}'
wrk.headers["Content-Type"] = "application/json"
local requests, n = {}, 0
init = function()
  for i = 0, 31 do
    requests[i] = wrk.format(nil, "/api/v1/functions/demo/bench" .. i .. "?mode=async")
  end
end
request = function()
  n = (n + 1) % 32
  return requests[n]
end

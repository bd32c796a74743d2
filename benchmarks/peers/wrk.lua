-- wrk as the ceiling: page after page of the registries in turn, over and over; nothing is signed, nothing is read.
function init(args)
  local registries, pages, size = tonumber(args[1]), tonumber(args[2]), args[3]
  local few, longer = math.floor(pages / registries), pages % registries
  requests, following = {}, 0
  for registry = 0, registries - 1 do
    for page = 1, few + (registry < longer and 1 or 0) do
      local path = string.format("/ncr/api/v2/repositories/registry-%05d?page=%d&pagesize=%s", registry, page, size)
      requests[#requests + 1] = wrk.format("GET", path)
    end
  end
end

function request()
  following = following % #requests + 1
  return requests[following]
end

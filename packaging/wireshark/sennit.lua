-- Wireshark dissector of the Sennit protocol, version 2 (docs/protocol), with the keys of a key log.
--
--   tshark -X lua_script:sennit.lua -o tcp.try_heuristic_first:TRUE -o sennit.key_log:KEYS -r CAPTURE
--
-- It shows every frame; with the keys (docs/protocol/key-log.md) also the stream and the items of control messages.
-- Tags are not verified: a record that was changed on its way is shown as garbage. Path 0 of mode mtls is TLS, which is
-- left to Wireshark's own dissector.

local sennit = Proto("sennit", "Sennit (SMKEX)")
sennit.prefs.key_log = Pref.string("Key log", "", "File written by --key-log")

local FRAME_TYPES = {
  [1] = "ClientShare", [2] = "ServerShare", [3] = "ClientNonce", [4] = "ServerNonce", [5] = "Finished",
  [6] = "Abort", [7] = "Ready", [8] = "Join", [9] = "JoinChallenge", [10] = "JoinResponse",
  [16] = "Data", [17] = "Control", [18] = "Step", [19] = "Switch",
}
local STEP_KINDS = {
  [1] = "StepShare", [2] = "StepAnswer", [3] = "StepNonce", [4] = "StepBinding", [5] = "StepFinished",
}
local MODES = { [1] = "opportunistic", [2] = "tofu", [3] = "mtls" }
local AEADS = { [1] = "AES-128-GCM", [2] = "ChaCha20-Poly1305" }
local GROUPS = { [0x001d] = "X25519", [0x11ec] = "X25519MLKEM768" }
local DATA, CONTROL, STEP, SWITCH, TAG = 16, 17, 18, 19, 16

local f = {
  type = ProtoField.uint8("sennit.type", "Type", base.DEC, FRAME_TYPES),
  length = ProtoField.uint24("sennit.length", "Length"),
  session = ProtoField.bytes("sennit.session_id", "Session id"),
  path = ProtoField.uint8("sennit.path", "Path"),
  version = ProtoField.uint8("sennit.version", "Version"),
  mode = ProtoField.uint8("sennit.mode", "Mode", base.DEC, MODES),
  aead = ProtoField.uint8("sennit.aead", "AEAD", base.DEC, AEADS),
  group = ProtoField.uint16("sennit.group", "Group", base.HEX, GROUPS),
  share = ProtoField.bytes("sennit.share", "Share"),
  commitment = ProtoField.bytes("sennit.commitment", "Commitment to N_C"),
  server_name = ProtoField.string("sennit.server_name", "Server name"),
  sealed_name = ProtoField.bytes("sennit.sealed_name", "Server name, sealed"),
  name_key = ProtoField.bytes("sennit.name_key", "Name key"),
  edge_id = ProtoField.uint16("sennit.edge_id", "Edge id"),
  nonce = ProtoField.bytes("sennit.nonce", "Nonce"),
  binding = ProtoField.bytes("sennit.binding", "Binding"),
  mac = ProtoField.bytes("sennit.mac", "MAC"),
  code = ProtoField.uint16("sennit.abort_code", "Abort code"),
  dsn = ProtoField.uint64("sennit.dsn", "DSN"),
  sealed = ProtoField.bytes("sennit.sealed", "Sealed"),
  data = ProtoField.bytes("sennit.data", "Stream data"),
  text = ProtoField.string("sennit.text", "Stream data as text"),
  phase = ProtoField.uint8("sennit.phase", "Phase", base.DEC, nil, 0xc0),
  step = ProtoField.uint64("sennit.step", "Key step"),
  step_kind = ProtoField.uint8("sennit.step_kind", "Message of a key step", base.DEC, STEP_KINDS),
  step_from = ProtoField.uint64("sennit.step_from", "Key step begins at DSN"),
  attempt = ProtoField.uint32("sennit.attempt", "Attempt"),
  counter = ProtoField.uint32("sennit.counter", "Counter"),
  acknowledged = ProtoField.uint64("sennit.acknowledged", "Acknowledged"),
  limit = ProtoField.uint64("sennit.limit", "Limit"),
  waited = ProtoField.uint32("sennit.waited", "Waited, microseconds"),
  final = ProtoField.uint64("sennit.final", "End of the stream"),
  ping = ProtoField.uint64("sennit.ping", "Ping"),
  pong = ProtoField.uint64("sennit.pong", "Answer to ping"),
  state = ProtoField.uint64("sennit.state", "State number"),
  scheduler = ProtoField.uint8("sennit.scheduler", "Scheduler"),
  item = ProtoField.bytes("sennit.item", "Item"),
}
local fields = {}
for _, field in pairs(f) do fields[#fields + 1] = field end
sennit.fields = fields
local stream_field = Field.new("tcp.stream")

-- --- bits: Lua 5.2's bit32, or the bit library that Wireshark brings

local ops = bit32 or bit
local function unsigned(value) return value % 0x100000000 end
local function xor(a, b) return unsigned(ops.bxor(a, b)) end
local function rotate(value, by)
  return unsigned(ops.bor(ops.lshift(value, by), ops.rshift(value, 32 - by)))
end

-- --- AES-128 (FIPS 197), encryption of one block; bytes in tables from 1

local SBOX = {}
do
  local p, q = 1, 1
  repeat
    p = xor(p, xor((p * 2) % 256, p >= 128 and 0x1b or 0))
    q = xor(q, (q * 2) % 256)
    q = xor(q, (q * 4) % 256)
    q = xor(q, (q * 16) % 256)
    if q >= 128 then q = xor(q, 0x09) end
    local function turn(value, by) return xor((value * 2 ^ by) % 256, math.floor(value / 2 ^ (8 - by))) end
    SBOX[p] = xor(xor(xor(xor(xor(q, turn(q, 1)), turn(q, 2)), turn(q, 3)), turn(q, 4)), 0x63)
  until p == 1
  SBOX[0] = 0x63
end

local function double(value) return xor((value * 2) % 256, value >= 128 and 0x1b or 0) end

local function expand_aes_key(key)
  local words, constant = {}, 1
  for n = 0, 15 do words[n] = key[n + 1] end
  for at = 16, 175, 4 do
    local word = { words[at - 4], words[at - 3], words[at - 2], words[at - 1] }
    if at % 16 == 0 then
      word = { xor(SBOX[word[2]], constant), SBOX[word[3]], SBOX[word[4]], SBOX[word[1]] }
      constant = double(constant)
    end
    for n = 0, 3 do words[at + n] = xor(words[at + n - 16], word[n + 1]) end
  end
  return words
end

local function encrypt_aes_block(round_keys, block)
  local state = {}
  for n = 0, 15 do state[n] = xor(block[n + 1], round_keys[n]) end
  for round = 1, 10 do
    local shifted = {}
    for n = 0, 15 do shifted[n] = SBOX[state[(n + 4 * (n % 4)) % 16]] end
    for column = 0, 12, 4 do
      local a, b, c, d = shifted[column], shifted[column + 1], shifted[column + 2], shifted[column + 3]
      if round < 10 then
        local all = xor(xor(a, b), xor(c, d))
        shifted[column] = xor(xor(a, all), double(xor(a, b)))
        shifted[column + 1] = xor(xor(b, all), double(xor(b, c)))
        shifted[column + 2] = xor(xor(c, all), double(xor(c, d)))
        shifted[column + 3] = xor(xor(d, all), double(xor(d, a)))
      end
    end
    for n = 0, 15 do state[n] = xor(shifted[n], round_keys[16 * round + n]) end
  end
  return state
end

-- the key stream of GCM's counter mode: block n (from 0) of a nonce of 12 bytes (NIST SP 800-38D)
local function aes_stream(key)
  local round_keys = expand_aes_key(key)
  return 16, function(nonce, n)
    local block, count = {}, n + 2
    for at = 1, 12 do block[at] = nonce[at] end
    for at = 16, 13, -1 do
      block[at] = count % 256
      count = math.floor(count / 256)
    end
    return encrypt_aes_block(round_keys, block)
  end
end

-- --- ChaCha20 (RFC 8439 section 2.3)

local function word_at(bytes, at)
  return bytes[at] + bytes[at + 1] * 0x100 + bytes[at + 2] * 0x10000 + bytes[at + 3] * 0x1000000
end

local ROUNDS = {
  { 0, 4, 8, 12 }, { 1, 5, 9, 13 }, { 2, 6, 10, 14 }, { 3, 7, 11, 15 },
  { 0, 5, 10, 15 }, { 1, 6, 11, 12 }, { 2, 7, 8, 13 }, { 3, 4, 9, 14 },
}

local function chacha_stream(key)
  return 64, function(nonce, n)
    local initial = { [0] = 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
    for at = 0, 7 do initial[4 + at] = word_at(key, 4 * at + 1) end
    initial[12] = n + 1
    for at = 0, 2 do initial[13 + at] = word_at(nonce, 4 * at + 1) end
    local state = {}
    for at = 0, 15 do state[at] = initial[at] end
    for _ = 1, 10 do
      for _, quarter in ipairs(ROUNDS) do
        local a, b, c, d = quarter[1], quarter[2], quarter[3], quarter[4]
        state[a] = unsigned(state[a] + state[b]); state[d] = rotate(xor(state[d], state[a]), 16)
        state[c] = unsigned(state[c] + state[d]); state[b] = rotate(xor(state[b], state[c]), 12)
        state[a] = unsigned(state[a] + state[b]); state[d] = rotate(xor(state[d], state[a]), 8)
        state[c] = unsigned(state[c] + state[d]); state[b] = rotate(xor(state[b], state[c]), 7)
      end
    end
    local out = {}
    for at = 0, 15 do
      local word = unsigned(state[at] + initial[at])
      for byte = 0, 3 do
        out[4 * at + byte] = word % 256
        word = math.floor(word / 256)
      end
    end
    return out
  end
end

-- --- keys

local keys = {}

local function bytes_of(hex)
  local bytes = {}
  for pair in hex:gmatch("%x%x") do bytes[#bytes + 1] = tonumber(pair, 16) end
  return bytes
end

local function read_key_log()
  keys = {}
  local file = sennit.prefs.key_log ~= "" and io.open(sennit.prefs.key_log) or nil
  if not file then return end
  for line in file:lines() do
    local session, name, key, iv = line:match("^sennit%-2 (%x+) (%l+ %l+ %d+ %d+) (%x+) (%x+)$")
    if session then keys[session .. " " .. name] = { key = bytes_of(key), iv = bytes_of(iv) } end
  end
  file:close()
end

-- the bytes under a key; `number` has the record's number as eight bytes
local function open_sealed(found, number, sealed)
  if not found.stream then
    found.size, found.stream = (#found.key == 16 and aes_stream or chacha_stream)(found.key)
  end
  local nonce = {}
  for at = 1, 4 do nonce[at] = found.iv[at] end
  for at = 1, 8 do nonce[4 + at] = xor(found.iv[4 + at], number[at]) end
  local out, block = {}, nil
  for at = 0, sealed:len() - TAG - 1 do
    if at % found.size == 0 then block = found.stream(nonce, math.floor(at / found.size)) end
    out[#out + 1] = string.format("%02x", xor(sealed:get_index(at), block[at % found.size]))
  end
  return ByteArray.new(table.concat(out))
end

local function number_bytes(value)
  local bytes = {}
  for at = 8, 1, -1 do
    bytes[at] = value % 256
    value = math.floor(value / 256)
  end
  return bytes
end

-- --- messages

-- per TCP stream: session id, path, the client's port, key step and counter of control messages by sender
local streams = {}
-- per session id: the highest key step that a Switch or Join has shown
local steps = {}

-- Shows option 1, which is another of each message, among the options that begin at `at`.
local function show_option(tvb, at, tree, field)
  local last = at + 2 + tvb(at, 2):uint()
  at = at + 2
  while at < last do
    local length = tvb(at + 2, 2):uint()
    if tvb(at, 2):uint() == 1 then tree:add(field, tvb(at + 4, length)) end
    at = at + 4 + length
  end
end

local function show_client_share(tvb, tree)
  tree:add(f.version, tvb(4, 1))
  tree:add(f.session, tvb(5, 16))
  local at = 21
  at = at + 1 + tvb(at, 1):uint()
  for _, field in ipairs({ f.mode, f.aead }) do
    for n = 1, tvb(at, 1):uint() do tree:add(field, tvb(at + n, 1)) end
    at = at + 1 + tvb(at, 1):uint()
  end
  tree:add(f.commitment, tvb(at, 32))
  at = at + 32
  local last = at + 2 + tvb(at, 2):uint()
  at = at + 2
  while at < last do
    local length = tvb(at + 2, 2):uint()
    tree:add(f.group, tvb(at, 2))
    tree:add(f.share, tvb(at + 4, length))
    at = at + 4 + length
  end
  local length = tvb(at, 1):uint()
  tree:add(f.server_name, tvb(at + 1, length))
  show_option(tvb, at + 1 + length, tree, f.sealed_name)
end

local function show_server_share(tvb, tree)
  tree:add(f.version, tvb(4, 1))
  tree:add(f.mode, tvb(5, 1))
  tree:add(f.aead, tvb(6, 1))
  tree:add(f.edge_id, tvb(7, 2))
  local at = 12 + 1 + tvb(12, 1):uint() + 2
  tree:add(f.group, tvb(at, 2))
  local length = tvb(at + 2, 2):uint()
  tree:add(f.share, tvb(at + 4, length))
  at = at + 4 + length
  show_option(tvb, at + 2 + tvb(at, 2):uint(), tree, f.name_key)
end

local ITEMS = {
  [1] = function(tvb, tree)
    tree:add(f.acknowledged, tvb(0, 8))
    tree:add(f.limit, tvb(8, 8))
    tree:add(f.waited, tvb(16, 4))
  end,
  [2] = function(tvb, tree) tree:add(f.final, tvb(0, 8)) end,
  [3] = function(tvb, tree) tree:add(f.code, tvb(0, 2)) end,
  [5] = function(tvb, tree) tree:add(f.ping, tvb(0, 8)) end,
  [6] = function(tvb, tree) tree:add(f.pong, tvb(0, 8)) end,
  [8] = function(tvb, tree) tree:add(f.state, tvb(0, 8)) end,
  [9] = function(tvb, tree)
    tree:add(f.state, tvb(0, 8))
    tree:add(f.scheduler, tvb(8, 1))
  end,
  [11] = function(tvb, tree)
    tree:add(f.step, tvb(0, 8))
    tree:add(f.step_from, tvb(8, 8))
  end,
  [12] = function(tvb, tree) tree:add(f.step, tvb(0, 8)) end,
}

local function show_control(opened, tree)
  local tvb, at = opened:tvb("Opened control message"), 0
  while at + 2 <= tvb:len() do
    local kind, length = tvb(at, 1):uint(), tvb(at + 1, 1):uint()
    if at + 2 + length > tvb:len() then return end
    local item = tree:add(f.item, tvb(at, 2 + length))
    if ITEMS[kind] and length > 0 then ITEMS[kind](tvb(at + 2, length):tvb(), item) end
    at = at + 2 + length
  end
end

local function show_step(opened, tree)
  local tvb = opened:tvb("Opened message of a key step")
  if tvb:len() < 13 then return end
  tree:add(f.step_kind, tvb(0, 1))
  tree:add(f.step, tvb(1, 8))
  tree:add(f.attempt, tvb(9, 4))
end

-- the key step of a record by its phase: the one before the highest known, that one, or one of the next two
local function find_step(session, phase)
  local known = steps[session] or 0
  return known - 1 + (phase - (known - 1)) % 4
end

local function show_data(state, who, tvb, pinfo, tree)
  tree:add(f.phase, tvb(4, 1))
  tree:add(f.dsn, tvb(4, 8), tvb(4, 8):uint64():lshift(2):rshift(2))
  tree:add(f.sealed, tvb(12))
  local number = {}
  for n = 0, 7 do number[n + 1] = tvb(4 + n, 1):uint() end
  local phase = math.floor(number[1] / 64)
  number[1] = number[1] % 64
  local epoch = number[5]
  for n = 4, 1, -1 do epoch = epoch + number[n] * 256 ^ (5 - n) end
  local place = pinfo.number .. " " .. tvb(4, 8):bytes():tohex()
  state.places[place] = state.places[place] or { step = find_step(state.session, phase) }
  local found = keys[string.format("%s %s data %d %d", state.session, who, state.places[place].step, epoch)]
  if not found then return end
  local opened = open_sealed(found, number, tvb(12):bytes())
  local inner = opened:tvb("Opened record")
  tree:add(f.data, inner())
  tree:add(f.text, inner())
end

local function show_sealed_control(state, who, kind, tvb, pinfo, tree)
  local place = pinfo.number .. tvb(4, math.min(16, tvb:len() - 4)):bytes():tohex()
  if not state.places[place] then
    local next_one = state.counters[who]
    if kind == SWITCH then
      next_one.step, next_one.counter = next_one.step + 1, 0
      steps[state.session] = math.max(steps[state.session] or 0, next_one.step)
    end
    state.places[place] = { step = next_one.step, counter = next_one.counter }
    next_one.counter = next_one.counter + 1
  end
  local at = state.places[place]
  tree:add(f.step, UInt64(at.step)):set_generated()
  tree:add(f.counter, at.counter):set_generated()
  tree:add(f.sealed, tvb(4))
  local found = keys[string.format("%s %s control %d %d", state.session, who, at.step, state.path)]
  if not found then return end
  local opened = open_sealed(found, number_bytes(at.counter), tvb(4):bytes())
  if kind == STEP then show_step(opened, tree) else show_control(opened, tree) end
end

local function begin_stream(stream, pinfo, session, path, step)
  if not streams[stream] then
    local id = session:bytes():tohex():lower()
    streams[stream] = {
      session = id, path = path, client_port = pinfo.src_port, places = {},
      counters = { client = { step = step, counter = 0 }, server = { step = step, counter = 0 } },
    }
    steps[id] = math.max(steps[id] or 0, step)
  end
end

local function show_frame(tvb, pinfo, tree)
  local kind = tvb(0, 1):uint()
  local name = FRAME_TYPES[kind] or "unknown"
  local stream = stream_field().value
  local sub = tree:add(sennit, tvb(), "Sennit " .. name)
  sub:add(f.type, tvb(0, 1))
  sub:add(f.length, tvb(1, 3))
  pinfo.cols.protocol = "Sennit"
  pinfo.cols.info:append(" " .. name)
  if kind == 1 then
    begin_stream(stream, pinfo, tvb(5, 16), 0, 0)
    show_client_share(tvb, sub)
  elseif kind == 2 then
    show_server_share(tvb, sub)
  elseif kind == 3 then
    begin_stream(stream, pinfo, tvb(4, 16), 1, 0)
    sub:add(f.session, tvb(4, 16))
    sub:add(f.nonce, tvb(20, 32))
  elseif kind == 4 then
    sub:add(f.nonce, tvb(4, 32))
    sub:add(f.binding, tvb(tvb:len() - 64, 32))
    sub:add(f.mac, tvb(tvb:len() - 32, 32))
  elseif kind == 5 or kind == 7 then
    sub:add(f.path, tvb(4, 1))
    sub:add(f.mac, tvb(5, 32))
  elseif kind == 6 then
    sub:add(f.code, tvb(4, 2))
  elseif kind == 8 then
    begin_stream(stream, pinfo, tvb(4, 16), tvb(28, 1):uint(), tvb(20, 8):uint64():tonumber())
    sub:add(f.session, tvb(4, 16))
    sub:add(f.step, tvb(20, 8))
    sub:add(f.path, tvb(28, 1))
  end
  local state = streams[stream]
  if state and kind >= DATA and kind <= SWITCH then
    local who = pinfo.src_port == state.client_port and "client" or "server"
    sub:add(f.path, state.path):set_generated()
    if kind == DATA then
      show_data(state, who, tvb, pinfo, sub)
    else
      show_sealed_control(state, who, kind, tvb, pinfo, sub)
    end
  end
  return tvb:len()
end

function sennit.init()
  streams, steps = {}, {}
  read_key_log()
end

function sennit.dissector(tvb, pinfo, tree)
  pinfo.cols.info:clear()
  dissect_tcp_pdus(tvb, tree, 4, function(from, _, offset)
    return 4 + from(offset + 1, 3):uint()
  end, show_frame)
  return tvb:len()
end

-- a subflow begins with ClientShare, ClientNonce or Join, whose lengths and version are known
sennit:register_heuristic("tcp", function(tvb, pinfo, tree)
  if tvb:len() < 5 then return false end
  local kind, length = tvb(0, 1):uint(), tvb(1, 3):uint()
  local begins = (kind == 1 and length <= 4092 and tvb(4, 1):uint() == 2)
    or (kind == 3 and length == 48) or (kind == 8 and length == 57)
  if not begins then return false end
  pinfo.conversation = sennit
  if tvb:len() < 4 + length then
    pinfo.desegment_offset, pinfo.desegment_len = 0, 4 + length - tvb:len()
  else
    sennit.dissector(tvb, pinfo, tree)
  end
  return true
end)

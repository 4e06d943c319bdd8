-- What a person does with a program in Neovim: see a mistake, mend it, look something up, format.
-- Started by neovim.sh; writes what it saw to $GWP_OUT.
local patience = 60000
local result = {}

local function run()
  vim.cmd("edit " .. vim.fn.fnameescape(vim.env.GWP_FILE))
  vim.bo.filetype = "gwp"
  local id = vim.lsp.start_client({ name = "gwp", cmd = { vim.env.GWP, "lsp" }, root_dir = vim.fn.getcwd() })
  vim.lsp.buf_attach_client(0, id)
  local client = vim.lsp.get_client_by_id(id)

  local function ask(method, params)
    local answers = assert(vim.lsp.buf_request_sync(0, method, params, patience))
    local answer = assert(answers[id], method)
    assert(not answer.error, vim.inspect(answer.error))
    return answer.result
  end
  local function place(text)
    local line = vim.fn.search(text, "cw")
    assert(line > 0, text .. " is not there")
    return vim.lsp.util.make_position_params(0, client.offset_encoding)
  end

  assert(vim.wait(patience, function() return #vim.diagnostic.get(0) > 0 end, 20), "no diagnostics")
  result.before = vim.tbl_map(function(found)
    return { code = found.code or found.user_data.lsp.code, line = found.lnum + 1, message = found.message }
  end, vim.diagnostic.get(0))

  local mistake = vim.diagnostic.get(0)[1]
  vim.api.nvim_win_set_cursor(0, { mistake.lnum + 1, mistake.col })
  local params = vim.lsp.util.make_range_params(0, client.offset_encoding)
  params.context = { diagnostics = {} }
  local action = assert(ask("textDocument/codeAction", params)[1], "no action")
  result.action = action.title
  vim.lsp.util.apply_workspace_edit(action.edit, client.offset_encoding)
  assert(vim.wait(patience, function() return #vim.diagnostic.get(0) == 0 end, 20), "it is not mended")

  result.hover = ask("textDocument/hover", place("level > ")).contents.value
  result.definition = ask("textDocument/definition", place("screen$")).range.start.line + 1
  result.completion = vim.tbl_map(function(item) return item.label end, ask("textDocument/completion", place("simulator")).items)
  result.symbols = #ask("textDocument/documentSymbol", { textDocument = vim.lsp.util.make_text_document_params() })
  local edits = ask("textDocument/formatting", vim.lsp.util.make_formatting_params())
  vim.lsp.util.apply_text_edits(edits, 0, client.offset_encoding)
  result.text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")

  client.stop()
  result.stopped = vim.wait(patience, function() return client.is_stopped() end, 20)
end

local ok, why = pcall(run)
if not ok then result.error = tostring(why) end
vim.fn.writefile({ vim.fn.json_encode(result) }, vim.env.GWP_OUT)
vim.cmd("qall!")

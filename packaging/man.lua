-- For pandoc: pages of docs/configuration as sections of agentcheck.toml(5). `make man` uses it.
-- A table becomes a definition list, which is readable at 80 columns; a link becomes its text.

local utils = pandoc.utils

-- The blocks of a cell as inlines.
local function inlines(cell)
  return utils.blocks_to_inlines(cell.contents)
end

local function rows(part)
  local found = {}
  for _, body in ipairs(part) do
    for _, row in ipairs(body.body) do
      table.insert(found, row.cells)
    end
  end
  return found
end

-- Columns whose content needs no name before it.
local plain = { ["type and range"] = true, ["type"] = true }
-- A last column that explains the first one.
local explains = { meaning = true, content = true }

local function append(list, separator, head, value)
  if #list > 0 then
    list:extend({ pandoc.Str(separator), pandoc.Space() })
  end
  local named = head and not plain[utils.stringify(head)]
  if named and not utils.stringify(value):match("^required") then
    list:extend(head)
    list:extend({ pandoc.Str(":"), pandoc.Space() })
  end
  list:extend(value)
end

-- The first column is what is defined. With an explanation in the last column, the others follow it in brackets.
function Table(tbl)
  local heads = tbl.head.rows[1].cells
  local last = #heads
  local explained = explains[utils.stringify(inlines(heads[last]))]
  local items = {}
  for _, cells in ipairs(rows(tbl.bodies)) do
    local text, facts = pandoc.List(), pandoc.List()
    for column = 2, last do
      local head, value = inlines(heads[column]), inlines(cells[column])
      if #value > 0 then
        if column == last and explained then
          append(text, ":", nil, value)
        elseif utils.stringify(head) == "field" or last == 2 then
          append(text, ";", nil, value)
        elseif explained then
          append(facts, ";", head, value)
        else
          append(text, ";", head, value)
        end
      end
    end
    if #facts > 0 then
      text:extend({ pandoc.Space(), pandoc.Str("[") })
      text:extend(facts)
      text:extend({ pandoc.Str("]") })
    end
    table.insert(items, { inlines(cells[1]), { { pandoc.Plain(text) } } })
  end
  return pandoc.DefinitionList(items)
end

-- Other pages are not beside the manual.
function Link(link)
  if link.target:match("^https?://") then
    return nil
  end
  return link.content
end

-- Sections are in capitals. Files and environment are sections of their own, as in every manual.
function Header(header)
  local name = utils.stringify(header)
  if name == "Files" or name == "Environment" or name == "Exit status" then
    header.level = 1
  end
  if header.level == 1 then
    header.content = { pandoc.Str(pandoc.text.upper(name)) }
  end
  return header
end

//! A strict interpreter of the part of Python's pickle language that tensor files need.
//!
//! A pickle is a program for a stack machine, and Python's own reader lets that program call
//! anything. This one knows the opcodes that build numbers, text and containers, and the short
//! list of names in `global.rs`. Any other opcode or name ends it with an error, and nothing is
//! ever executed. Work and memory grow with the length of the program only, and that is limited.
//!
//! Source: the opcode table of Python's `pickletools` (protocols 2 to 5, without the text opcodes of
//! protocols 0 and 1, which `PyTorch` never wrote).

mod global;
mod object;

use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use global::Global;
pub(crate) use object::{Heap, Object, Storage, TensorView, Value};

use crate::error::quoted;

/// Longest program that is followed. Those of large checkpoints have about one million bytes; each
/// byte may cost a hundred in memory.
const MAX_PROGRAM_BYTES: usize = 8 << 20;

/// Finds the object for a persistent id, the way a program refers to data outside itself.
pub(crate) type Resolve<'a> = &'a dyn Fn(&Heap, &Value) -> Option<Object>;

/// Why a pickle program was not followed to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It mentions a name that tensor files do not need.
    #[error("asks Python for {} at byte {at}", quoted(name))]
    ForbiddenGlobal {
        /// Module and name, joined by a dot.
        name: String,
        /// Where in the program.
        at: usize,
    },
    /// It uses an opcode that tensor files do not need.
    #[error("uses the pickle opcode `{opcode}` at byte {at}")]
    ForbiddenOpcode {
        /// Name of the opcode.
        opcode: &'static str,
        /// Where in the program.
        at: usize,
    },
    /// It uses a known name or opcode in a way that tensor files do not.
    #[error("uses the pickle opcode `{opcode}` at byte {at} on something that is no tensor part")]
    ForbiddenUse {
        /// Name of the opcode.
        opcode: &'static str,
        /// Where in the program.
        at: usize,
    },
    /// It is longer than the description of any real model.
    #[error("goes on for more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A byte that is no opcode.
    #[error("has the byte {byte:#04x} at {at}, which is no pickle opcode")]
    NotAnOpcode {
        /// The byte.
        byte: u8,
        /// Where in the program.
        at: usize,
    },
    /// The program ends in the middle.
    #[error("ends early, at byte {at}")]
    Truncated {
        /// Where in the program.
        at: usize,
    },
    /// The program takes more from its stack or memo than it put there.
    #[error("takes something it never made, at byte {at}")]
    Missing {
        /// Where in the program.
        at: usize,
    },
    /// Text that is not UTF-8, or a number longer than 16 bytes.
    #[error("holds a malformed value at byte {at}")]
    Malformed {
        /// Where in the program.
        at: usize,
    },
}

impl PickleError {
    /// True when the file may be whole, but asks for more than tensors need.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::ForbiddenGlobal { .. }
                | Self::ForbiddenOpcode { .. }
                | Self::ForbiddenUse { .. }
                | Self::TooLong { .. }
        )
    }
}

/// A program that ran to its end.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) heap: Heap,
    /// What the program made.
    pub(crate) root: Value,
    /// Number of bytes the program takes; old files go on behind it.
    pub(crate) n_bytes: usize,
}

/// Runs the program at the start of `bytes`.
pub(crate) fn load(bytes: &[u8], resolve: Resolve<'_>) -> Result<Loaded, PickleError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        resolve,
    };
    let root = machine.run()?;
    Ok(Loaded { heap: machine.heap, root, n_bytes: machine.at })
}

/// For programs that must not refer to anything outside themselves.
pub(crate) fn no_outside_data(_: &Heap, _: &Value) -> Option<Object> {
    None
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    heap: Heap,
    stack: Vec<Value>,
    /// Stack heights at the open `MARK`s.
    marks: Vec<usize>,
    memo: BTreeMap<usize, Value>,
    resolve: Resolve<'a>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, PickleError> {
        loop {
            let at = self.at;
            if at > MAX_PROGRAM_BYTES {
                return Err(PickleError::TooLong { limit: MAX_PROGRAM_BYTES });
            }
            let [opcode] = self.array()?;
            match opcode {
                b'.' => return self.pop(),
                0x80 => drop(self.array::<1>()?), // PROTO
                0x95 => drop(self.array::<8>()?), // FRAME
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_to_mark()?),
                b'2' => self.stack.push(self.top()?.clone()),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Opaque), // NEWTRUE, NEWFALSE
                b'G' => {
                    self.array::<8>()?; // BINFLOAT
                    self.stack.push(Value::Opaque);
                }
                b'J' => self.number::<4>(|b| i32::from_le_bytes(b).into())?,
                b'K' => self.number::<1>(|[b]| b.into())?,
                b'M' => self.number::<2>(|b| u16::from_le_bytes(b).into())?,
                0x8a | 0x8b => self.long(opcode)?,
                b'U' | 0x8c | b'C' | b'T' | b'X' | b'B' | 0x8d | 0x8e => self.string(opcode)?,
                b'}' => self.push_object(Object::Dict(Vec::new())),
                b']' => self.push_object(Object::List(Vec::new())),
                b')' => self.push_object(Object::Tuple(Vec::new())),
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push_object(Object::Tuple(items));
                }
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(opcode - 0x84))?;
                    self.push_object(Object::Tuple(items));
                }
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push_object(Object::List(items));
                }
                b'd' => {
                    let entries = self.pop_pairs()?;
                    self.push_object(Object::Dict(entries));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(vec![item], "APPEND", at)?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.extend_list(items, "APPENDS", at)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.extend_dict(vec![(key, value)], "SETITEM", at)?;
                }
                b'u' => {
                    let entries = self.pop_pairs()?;
                    self.extend_dict(entries, "SETITEMS", at)?;
                }
                b'h' | b'j' => {
                    let index = self.length(if opcode == b'h' { 1 } else { 4 })?;
                    let value = self.memo.get(&index).ok_or(PickleError::Missing { at })?;
                    self.stack.push(value.clone());
                }
                b'q' | b'r' => {
                    let index = self.length(if opcode == b'q' { 1 } else { 4 })?;
                    self.memo.insert(index, self.top()?.clone());
                }
                0x94 => drop(self.memo.insert(self.memo.len(), self.top()?.clone())),
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name, at)?;
                }
                0x93 => {
                    let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?)
                    else {
                        return Err(PickleError::ForbiddenUse { opcode: "STACK_GLOBAL", at });
                    };
                    self.global(&module, &name, at)?;
                }
                b'R' => self.reduce(at)?,
                0x81 => self.new_object(at)?,
                b'b' => {
                    let state = self.pop()?;
                    let target = self.top()?.clone();
                    global::set_state(&mut self.heap, &target, &state)
                        .ok_or(PickleError::ForbiddenUse { opcode: "BUILD", at })?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let object = (self.resolve)(&self.heap, &id)
                        .ok_or(PickleError::ForbiddenUse { opcode: "BINPERSID", at })?;
                    self.push_object(object);
                }
                byte => {
                    return Err(match forbidden(byte) {
                        Some(opcode) => PickleError::ForbiddenOpcode { opcode, at },
                        None => PickleError::NotAnOpcode { byte, at },
                    });
                }
            }
        }
    }

    fn reduce(&mut self, at: usize) -> Result<(), PickleError> {
        let refused = PickleError::ForbiddenUse { opcode: "REDUCE", at };
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Global(callee) = callee else { return Err(refused) };
        let Some(arguments) = self.arguments(&arguments) else { return Err(refused) };
        let result = global::call(&mut self.heap, callee, &arguments).ok_or(refused)?;
        self.stack.push(result);
        Ok(())
    }

    fn new_object(&mut self, at: usize) -> Result<(), PickleError> {
        let refused = PickleError::ForbiddenUse { opcode: "NEWOBJ", at };
        let (arguments, class) = (self.pop()?, self.pop()?);
        let Value::Global(Global::Parameter) = class else { return Err(refused) };
        let Some(arguments) = self.arguments(&arguments) else { return Err(refused) };
        let parameter = global::new_parameter(&mut self.heap, &arguments).ok_or(refused)?;
        self.stack.push(parameter);
        Ok(())
    }

    /// The items of a short tuple. A limit keeps many calls with one long tuple cheap.
    fn arguments(&self, tuple: &Value) -> Option<Vec<Value>> {
        const MAX_ARGUMENTS: usize = 16;
        let items = self.heap.tuple(tuple)?;
        (items.len() <= MAX_ARGUMENTS).then(|| items.to_vec())
    }

    fn global(&mut self, module: &str, name: &str, at: usize) -> Result<(), PickleError> {
        let Some(global) = global::lookup(module, name) else {
            return Err(PickleError::ForbiddenGlobal { name: format!("{module}.{name}"), at });
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn extend_list(
        &mut self,
        items: Vec<Value>,
        opcode: &'static str,
        at: usize,
    ) -> Result<(), PickleError> {
        let Some(Object::List(list)) = self.top_object()? else {
            return Err(PickleError::ForbiddenUse { opcode, at });
        };
        list.extend(items);
        Ok(())
    }

    fn extend_dict(
        &mut self,
        entries: Vec<(Value, Value)>,
        opcode: &'static str,
        at: usize,
    ) -> Result<(), PickleError> {
        let Some(Object::Dict(dict)) = self.top_object()? else {
            return Err(PickleError::ForbiddenUse { opcode, at });
        };
        dict.extend(entries);
        Ok(())
    }

    fn top_object(&mut self) -> Result<Option<&mut Object>, PickleError> {
        let Value::Object(id) = *self.top()? else { return Ok(None) };
        Ok(Some(self.heap.get_mut(id)))
    }

    fn push_object(&mut self, object: Object) {
        let value = self.heap.add(object);
        self.stack.push(value);
    }

    fn top(&self) -> Result<&Value, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().ok_or(PickleError::Missing { at: self.at })
    }

    /// Takes the topmost value; never one from below an open mark.
    fn pop(&mut self) -> Result<Value, PickleError> {
        self.top()?;
        self.stack.pop().ok_or(PickleError::Missing { at: self.at })
    }

    fn pop_many(&mut self, n_items: usize) -> Result<Vec<Value>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() < floor + n_items {
            return Err(PickleError::Missing { at: self.at });
        }
        Ok(self.stack.split_off(self.stack.len() - n_items))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::Missing { at: self.at })?;
        Ok(self.stack.split_off(mark))
    }

    fn pop_pairs(&mut self) -> Result<Vec<(Value, Value)>, PickleError> {
        let mut items = self.pop_to_mark()?.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let Some(key) = items.next() {
            let value = items.next().ok_or(PickleError::Missing { at: self.at })?;
            pairs.push((key, value));
        }
        Ok(pairs)
    }

    fn number<const N: usize>(
        &mut self,
        convert: impl Fn([u8; N]) -> i128,
    ) -> Result<(), PickleError> {
        let number = convert(self.array()?);
        self.stack.push(Value::Int(number));
        Ok(())
    }

    /// `LONG1` and `LONG4`: a little-endian two's complement number of any length.
    fn long(&mut self, opcode: u8) -> Result<(), PickleError> {
        let at = self.at;
        let n_bytes = self.length(if opcode == 0x8a { 1 } else { 4 })?;
        let digits = self.take(n_bytes)?;
        if digits.len() > 16 {
            return Err(PickleError::Malformed { at });
        }
        let is_negative = digits.last().is_some_and(|&byte| byte >= 0x80);
        let mut wide = [if is_negative { 0xff } else { 0 }; 16];
        wide[..digits.len()].copy_from_slice(digits);
        self.stack.push(Value::Int(i128::from_le_bytes(wide)));
        Ok(())
    }

    /// Text and bytes. Python 2 wrote its text with the byte opcodes `U` and `T`.
    fn string(&mut self, opcode: u8) -> Result<(), PickleError> {
        let at = self.at;
        let n_bytes = self.length(match opcode {
            b'U' | 0x8c | b'C' => 1,
            b'T' | b'X' | b'B' => 4,
            _ => 8,
        })?;
        let bytes = self.take(n_bytes)?;
        let is_bytes = matches!(opcode, b'C' | b'B' | 0x8e);
        let value = match std::str::from_utf8(bytes) {
            Ok(text) if !is_bytes => Value::Text(Rc::from(text)),
            Err(_) if matches!(opcode, b'X' | 0x8c | 0x8d) => {
                return Err(PickleError::Malformed { at });
            }
            _ => Value::Opaque,
        };
        self.stack.push(value);
        Ok(())
    }

    /// A little-endian length of `n_bytes` bytes.
    fn length(&mut self, n_bytes: usize) -> Result<usize, PickleError> {
        let at = self.at;
        let mut wide = [0; 8];
        wide[..n_bytes].copy_from_slice(self.take(n_bytes)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| PickleError::Truncated { at })
    }

    fn line(&mut self) -> Result<Rc<str>, PickleError> {
        let at = self.at;
        let rest = &self.bytes[at..];
        let end =
            rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::Truncated { at })?;
        self.at += end + 1;
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| PickleError::Malformed { at })?;
        Ok(Rc::from(text))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, n_bytes: usize) -> Result<&[u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n_bytes).ok_or(PickleError::Truncated { at: self.at })?;
        self.at += n_bytes;
        Ok(taken)
    }
}

/// Names of the opcodes that exist and are not followed.
fn forbidden(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'i' => "INST",
        b'o' => "OBJ",
        0x92 => "NEWOBJ_EX",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        b'P' => "PERSID",
        b'I' => "INT",
        b'L' => "LONG",
        b'F' => "FLOAT",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'g' => "GET",
        b'p' => "PUT",
        0x8f => "EMPTY_SET",
        0x90 => "ADDITEMS",
        0x91 => "FROZENSET",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "pickle/tests.rs"]
mod tests;

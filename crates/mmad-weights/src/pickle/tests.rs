//! Programs written by hand, one idea each.

use super::*;

fn run(program: &[u8]) -> Result<Loaded, PickleError> {
    load(program, &no_outside_data)
}

/// A list of what the program leaves on the stack, in words.
fn show(program: &[u8]) -> String {
    let loaded = run(program).unwrap();
    assert_eq!(loaded.n_bytes, program.len());
    words(&loaded.heap, &loaded.root)
}

fn words(heap: &Heap, value: &Value) -> String {
    let list =
        |items: &[Value]| items.iter().map(|item| words(heap, item)).collect::<Vec<_>>().join(" ");
    match value {
        Value::None => "none".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) => format!("'{text}'"),
        Value::Global(global) => format!("{global:?}"),
        Value::Opaque => "?".to_owned(),
        Value::Object(id) => match heap.get(*id) {
            Object::Tuple(items) => format!("({})", list(items)),
            Object::List(items) => format!("[{}]", list(items)),
            Object::Dict(entries) => {
                let entry = |(key, value): &(Value, Value)| {
                    format!("{}:{}", words(heap, key), words(heap, value))
                };
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
            other => format!("{other:?}"),
        },
    }
}

#[test]
fn numbers_of_every_width() {
    assert_eq!(show(b"\x80\x02(K\xffM\xff\xffJ\xfe\xff\xff\xfft."), "(255 65535 -2)");
    assert_eq!(show(b"(\x8a\x00\x8a\x01\xff\x8a\x02\xff\x00\x8b\x03\x00\x00\x00\x01\x00\x80t."), {
        "(0 -1 255 -8388607)"
    });
    assert_eq!(
        show(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."),
        0x1950_a86a_20f9_469c_fc6c_u128.to_string()
    );
}

#[test]
fn text_bytes_and_what_does_not_matter() {
    assert_eq!(show(b"(\x8c\x01aX\x01\x00\x00\x00b\x8d\x01\0\0\0\0\0\0\0cU\x01dT\x01\0\0\0et."), {
        "('a' 'b' 'c' 'd' 'e')"
    });
    assert_eq!(show(b"(C\x01aB\x01\0\0\0b\x8e\x01\0\0\0\0\0\0\0cU\x01\xffN\x88\x89G12345678t."), {
        "(? ? ? ? none ? ? ?)"
    });
}

#[test]
fn containers_in_every_way() {
    assert_eq!(show(b"(K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87)t."), "((1) (1 2) (1 2 3) ())");
    assert_eq!(show(b"]K\x01a(K\x02K\x03e."), "[1 2 3]");
    assert_eq!(show(b"(K\x01K\x02l."), "[1 2]");
    assert_eq!(show(b"}\x8c\x01aK\x01s(\x8c\x01bK\x02\x8c\x01cK\x03u."), "{'a':1 'b':2 'c':3}");
    assert_eq!(show(b"(\x8c\x01aK\x01d."), "{'a':1}");
    assert_eq!(show(b"(K\x01K\x020K\x022t."), "(1 2 2)", "POP and DUP");
    assert_eq!(show(b"K\x07(K\x01K\x021."), "7", "POP_MARK");
}

#[test]
fn the_memo_shares_and_numbers() {
    assert_eq!(show(b"(]q\x05K\x01ah\x05r\x00\x01\x00\x00j\x00\x01\x00\x00t."), "([1] [1] [1])");
    assert_eq!(show(b"\x95\0\0\0\0\0\0\0\0(\x8c\x01a\x94\x8c\x01b\x94h\x01h\x00t."), {
        "('a' 'b' 'b' 'a')"
    });
}

#[test]
fn a_list_in_the_memo_is_the_same_list() {
    // The list is put down, remembered, and extended through the memo.
    assert_eq!(show(b"(]q\x00h\x00K\x09a0t."), "([9])");
}

#[test]
fn only_known_names_pass() {
    assert_eq!(show(b"ccollections\nOrderedDict\n)R."), "{}");
    assert_eq!(show(b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R."), "{}");
    assert_eq!(show(b"ccollections\nOrderedDict\n](]\x8c\x01aaK\x01ae\x85R."), "{'a':1}");
    assert_eq!(show(b"ctorch\nSize\n(K\x02K\x03t\x85R."), "(2 3)");
    assert_eq!(show(b"cnumpy\ndtype\n\x8c\x02f8\x85R(K\x03\x8c\x01<tb."), "?");
    for program in [&b"cposix\nsystem\n"[..], b"\x8c\x05posix\x8c\x06system\x93"] {
        let error = run(program).unwrap_err();
        assert!(error.is_refusal());
        assert!(error.to_string().starts_with("asks Python for `posix.system`"), "{error}");
    }
}

#[test]
fn known_names_do_only_what_tensor_files_need() {
    for program in [
        &b"ctorch\nFloatStorage\n)R."[..], // a class that is only a label
        b"ctorch\nfloat32\n)R.",           // a constant
        b"K\x01)R.",                       // a number is no function
        b"ccollections\nOrderedDict\nK\x01R.", // arguments must be a tuple
        b"ccollections\nOrderedDict\n)\x81.", // made by REDUCE, never by NEWOBJ
        b"ccollections\nOrderedDict\n(K\x01K\x02tR.", // one argument at most
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.", // no storage
        b"ctorch._utils\n_rebuild_parameter\n](\x85R.", // no tensor
        b"]N}b.",                          // a list has no attributes
        b"K\x01K\x02a.",                   // APPEND to a number
        b"](K\x01K\x02u.",                 // SETITEMS on a list
        b"\x8c\x01aQ.",                    // nothing outside
        b"K\x01K\x02\x93.",                // names are text
    ] {
        let error = run(program).unwrap_err();
        let is_use =
            matches!(error, PickleError::ForbiddenUse { .. } | PickleError::Missing { .. });
        assert!(is_use, "{error}: {program:?}");
    }
}

#[test]
fn opcodes_beyond_tensors_are_refused_by_name() {
    for (program, opcode) in [
        (&b"(S'echo'\nios\nsystem\n."[..], "STRING"),
        (b"(ios\nsystem\n.", "INST"),
        (b"(o.", "OBJ"),
        (b"\x92.", "NEWOBJ_EX"),
        (b"\x82\x01.", "EXT1"),
        (b"I1\n.", "INT"),
        (b"P1\n.", "PERSID"),
        (b"\x8f.", "EMPTY_SET"),
    ] {
        match run(program).unwrap_err() {
            PickleError::ForbiddenOpcode { opcode: found, .. } => assert_eq!(found, opcode),
            other => panic!("{other}"),
        }
    }
    assert_eq!(run(b"\xfe").unwrap_err(), PickleError::NotAnOpcode { byte: 0xfe, at: 0 });
}

#[test]
fn programs_cannot_take_what_is_not_there() {
    for program in [
        &b"."[..],
        b"0",
        b"1",
        b"t.",
        b"K\x01(.",
        b"K\x01\x86.",
        b"h\x07.",
        b"(K\x01u",
        b"}(K\x01u",
    ] {
        let error = run(program).unwrap_err();
        assert!(matches!(error, PickleError::Missing { .. }), "{error}: {program:?}");
    }
    for program in
        [&b""[..], b"K", b"X\xff\xff\xff\xff", b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", b"cos"]
    {
        let error = run(program).unwrap_err();
        assert!(matches!(error, PickleError::Truncated { .. }), "{error}: {program:?}");
    }
    for program in [&b"X\x01\x00\x00\x00\xff."[..], b"\x8a\x11aaaaaaaaaaaaaaaaa.", b"c\xff\nx\n."] {
        let error = run(program).unwrap_err();
        assert!(matches!(error, PickleError::Malformed { .. }), "{error}: {program:?}");
    }
}

/// Python would nest as deeply; dropping must not exhaust the stack of this thread.
#[test]
fn a_million_nested_tuples_are_harmless() {
    let mut program = vec![b')'];
    program.resize(1_000_000, 0x85);
    program.push(b'.');
    assert!(run(&program).is_ok());
}

#[test]
fn endless_programs_are_refused() {
    let mut program = b"N0".repeat(MAX_PROGRAM_BYTES / 2 + 1);
    program.extend(b"N.");
    let error = run(&program).unwrap_err();
    assert!(matches!(error, PickleError::TooLong { .. }) && error.is_refusal(), "{error}");
}

/// One long list in the memo, used by call after call: a copy for each would fill the memory.
#[test]
fn repeated_calls_do_not_copy_long_arguments() {
    let mut program = b"](".to_vec();
    program.extend(b"](NNe".repeat(20_000)); // pairs
    program.extend(b"eq\x00ccollections\nOrderedDict\nq\x01");
    program.extend(b"h\x01h\x00\x85R0".repeat(20_000));
    program.extend(b"h\x01h\x00\x85R.");
    assert_eq!(show(&program), "{}", "the first call used the list up");

    let mut program = b"(".to_vec();
    program.extend(b"N".repeat(17));
    program.extend(b"tq\x00cnumpy\ndtype\nh\x00R.");
    assert!(run(&program).unwrap_err().is_refusal(), "no real call has so many arguments");
}

proptest::proptest! {
    #[test]
    fn random_programs_end_without_a_panic(program: Vec<u8>) {
        let _ = run(&program);
    }

    /// Bytes drawn from the opcodes that are followed get much further than any byte would.
    #[test]
    fn random_opcodes_end_without_a_panic(
        picks in proptest::collection::vec(0_usize..40, 0..200),
    ) {
        let opcodes = b"(.012NK}])tldaesuhqQRbUCX\x81\x85\x86\x87\x88\x8a\x8c\x93\x94\x00\x01\x02ac\n";
        let program: Vec<u8> = picks.iter().map(|&pick| opcodes[pick % opcodes.len()]).collect();
        let _ = run(&program);
    }
}

//! Telegrams against known bytes, and with broken answers.

use super::*;
use proptest::prelude::*;

fn item(area: Area, block: u16, start: u32, count: u16) -> Item {
    Item { area, block, start, bit: None, count }
}

/// An answer with these parts.
fn answer(parameters: &[u8], data: &[u8]) -> Vec<u8> {
    let head = [0x32, 3, 0, 0, 0, 7, 0, parameters.len() as u8, 0, data.len() as u8, 0, 0];
    [&head[..], parameters, data].concat()
}

#[test]
fn requests_have_the_known_bytes() {
    assert_eq!(
        setup(1, Agreement { pdu: 480, jobs: 1 }),
        [0x32, 1, 0, 0, 0, 1, 0, 8, 0, 0, 0xF0, 0, 0, 1, 0, 1, 0x01, 0xE0]
    );
    let items = [item(Area::Blocks, 10, 2, 4), item(Area::Timers, 0, 5, 1)];
    assert_eq!(
        read(0x0102, &items),
        [
            0x32, 1, 0, 0, 1, 2, 0, 26, 0, 0, 4, 2, //
            0x12, 0x0A, 0x10, 2, 0, 4, 0, 10, 0x84, 0, 0, 16, //
            0x12, 0x0A, 0x10, 0x1D, 0, 1, 0, 0, 0x1D, 0, 0, 5,
        ]
    );
    let bit = Item { bit: Some(3), ..item(Area::Flags, 0, 10, 1) };
    assert_eq!(
        write(9, &bit, &[1]),
        [
            0x32, 1, 0, 0, 0, 9, 0, 14, 0, 5, 5, 1, //
            0x12, 0x0A, 0x10, 1, 0, 1, 0, 0, 0x83, 0, 0, 83, 0, 3, 0, 1, 1,
        ]
    );
    let word = write(9, &item(Area::Blocks, 1, 0x1FFF, 2), &[0xAB, 0xCD]);
    assert_eq!(word[12..], [0x12, 0x0A, 0x10, 2, 0, 2, 0, 1, 0x84, 0, 0xFF, 0xF8, 0, 4, 0, 16, 0xAB, 0xCD]);
    assert_eq!(read(0, &items).len(), REQUEST_HEAD + 2 * REQUEST_ITEM);
}

#[test]
fn answers_give_each_item_its_bytes_or_its_refusal() {
    let items = [item(Area::Blocks, 1, 0, 3), item(Area::Blocks, 9, 0, 2), item(Area::Counters, 0, 1, 1)];
    let data = [
        0xFF, 4, 0, 24, 1, 2, 3, 0, // three bytes, made even
        0x0A, 0, 0, 0, // no such block
        0xFF, 9, 0, 2, 0x01, 0x23,
    ];
    let bytes = answer(&[4, 3], &data);
    let telegram = parse(&bytes).unwrap();
    assert_eq!((telegram.reference, telegram.error), (7, None));
    assert_eq!(
        telegram.values(&items).unwrap(),
        [Ok(&[1u8, 2, 3][..]), Err(ReturnCode(0x0A)), Ok(&[0x01, 0x23])]
    );
    // A refused item may be odd and the last, and so may values.
    let bytes = answer(&[4, 1], &[0xFF, 4, 0, 24, 1, 2, 3]);
    assert_eq!(parse(&bytes).unwrap().values(&items[..1]).unwrap(), [Ok(&[1u8, 2, 3][..])]);
}

#[test]
fn an_answer_to_another_request_is_none() {
    let items = [item(Area::Blocks, 1, 0, 2)];
    for (parameters, data) in [
        (&[4, 2][..], &[0xFF, 4, 0, 16, 1, 2][..]),
        (&[5, 1], &[0xFF]),
        (&[4], &[0xFF, 4, 0, 16, 1, 2]),
        (&[4, 1], &[0xFF, 4, 0, 8, 1]),
        (&[4, 1], &[0xFF, 4, 0, 16, 1]),
        (&[4, 1], &[0xFF, 4, 0]),
        (&[4, 1], &[0xFF, 0x33, 0, 2, 1, 2]),
        (&[4, 1], &[0xFF, 4, 0, 16, 1, 2, 3]),
        (&[4, 1], &[0x05, 4, 0, 16, 1, 2]),
    ] {
        let bytes = answer(parameters, data);
        assert!(parse(&bytes).unwrap().values(&items).is_err(), "{parameters:?} {data:?}");
    }
    for mut bytes in
        [answer(&[4, 1], &[0xFF]), answer(&[4, 1], &[0xFF])].into_iter().enumerate().map(|(at, mut bytes)| {
            bytes[at] ^= 0x10;
            bytes
        })
    {
        assert!(parse(&bytes).is_err());
        bytes.truncate(11);
        assert!(parse(&bytes).is_err());
    }
}

#[test]
fn the_answer_to_a_setup_counts() {
    let size = |pdu: u16, asked| {
        let [high, low] = pdu.to_be_bytes();
        let bytes = answer(&[0xF0, 0, 0, 3, 0, 2, high, low], &[]);
        parse(&bytes).unwrap().agreement(Agreement { pdu: asked, jobs: 8 }).map(|agreed| {
            assert_eq!(agreed.jobs, 2, "what both directions allow");
            agreed.pdu
        })
    };
    assert_eq!(size(240, 960), Ok(240));
    assert_eq!(size(960, 480), Ok(480), "a PLC may not give more than was asked for");
    assert!(size(20, 960).is_err());
    let bytes = answer(&[4, 1], &[]);
    assert!(parse(&bytes).unwrap().agreement(Agreement { pdu: 960, jobs: 1 }).is_err());
}

#[test]
fn writes_are_confirmed_or_refused() {
    let of = |parameters: &[u8], data: &[u8]| {
        let bytes = answer(parameters, data);
        parse(&bytes).unwrap().written()
    };
    assert_eq!(of(&[5, 1], &[0xFF]), Ok(Ok(())));
    assert_eq!(of(&[5, 1], &[0x05]), Ok(Err(ReturnCode(5))));
    assert!(
        of(&[5, 1], &[]).is_err() && of(&[5, 1], &[0xFF, 0xFF]).is_err() && of(&[4, 1], &[0xFF]).is_err()
    );
    let mut bytes = answer(&[], &[]);
    bytes[10..12].copy_from_slice(&[0x81, 0x04]);
    assert_eq!(parse(&bytes).unwrap().error, Some(HeaderError { class: 0x81, code: 4 }));
}

proptest! {
    #[test]
    fn any_bytes_are_values_of_their_items_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..80), counts in prop::collection::vec(0u16..9, 0..5),
        valid in any::<bool>(),
    ) {
        if valid && bytes.len() >= 14 {
            let rest = (bytes.len() - 14) as u8;
            bytes[..12].copy_from_slice(&[0x32, 3, 0, 0, 0, 0, 0, 2, 0, rest, 0, 0]);
            bytes[12..14].copy_from_slice(&[4, counts.len() as u8]);
        }
        let items: Vec<Item> = counts.iter().map(|count| item(Area::Blocks, 1, 0, *count)).collect();
        if let Ok(telegram) = parse(&bytes) {
            let _ = (telegram.agreement(Agreement { pdu: 960, jobs: 4 }), telegram.written());
            if let Ok(values) = telegram.values(&items) {
                prop_assert_eq!(values.len(), items.len());
                for (value, item) in values.iter().zip(&items) {
                    prop_assert!(value.is_err() || value.unwrap().len() == item.bytes());
                }
            }
        }
    }
}
